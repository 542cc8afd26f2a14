"""Train the two heads and write their artefact: `python -m bench.train_heads DATA [--out FILE]`.

Only the train split is read. The per-item outcomes of SWE-bench Verified (CC BY-NC 4.0) are left out: its issue texts
enter with one prior for all of them, so that the heads know the kind and nothing of the items.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.forest import Nodes, grow
from bench.house_turns import house_rows
from bench.routing_data import MIXED, Floats, Matrix, Row, load, matrix
from brainrouter.brain.heads import Heads, logit, sigmoid
from brainrouter.brain.shape import names

ARTEFACT = Path("src/brainrouter/brain/heads.npz")
VERSION = "1"
TREES, LEAF_ROWS, TRIED = 100, 12, 60
HOUSE_AGAIN = 5
RIDGE, BLEND = 8.0, 0.2
FOLDS = 4
# What public reports agree on for real issues of Python libraries, rounded: local models of 20-30B solve about a third,
# the large cloud models about seven in ten.
ISSUE_PRIOR = (0.33, 0.70)
LEFT_OUT = "swe-verified"


@dataclass(frozen=True)
class Examples:
    """What is learnt from: features, the local success, and the cloud's gain where it is known."""

    x: Matrix
    small: Floats
    gain: Floats
    group: NDArray[np.intp]


def examples(rows: list[Row]) -> Examples:
    """Rows as examples. A tool call is seen with and without its tools, since a harness may keep them to itself."""
    rows = [
        replace(row, small=ISSUE_PRIOR[0], large=ISSUE_PRIOR[1]) if row.kind == LEFT_OUT else row
        for row in rows
    ]
    seen = [(number, row.text, row.tools) for number, row in enumerate(rows)]
    seen += [(number, row.text, ()) for number, row in enumerate(rows) if row.tools]
    seen += [(number, row.text, ()) for number, row in enumerate(rows) if row.set == "house"] * HOUSE_AGAIN
    small = np.array([row.small for row in rows], np.float32)
    large = np.array([row.large for row in rows], np.float32)
    group = np.array([number for number, _, _ in seen])
    return Examples(
        matrix([(text, tools) for _, text, tools in seen]), small[group], (large - small)[group], group
    )


def fit(data: Examples, index: NDArray[np.intp], seed: int) -> dict[str, Any]:
    """One pair of heads, uncalibrated, as the arrays of the artefact."""
    known = index[~np.isnan(data.gain[index])]
    nodes = Nodes()
    weights: list[Floats] = []
    bias: list[float] = []
    for target, rows in ((data.small, index), (data.gain, known)):
        x, y = data.x.of(rows), target[rows]
        grow(nodes, x.shape, y, trees=TREES, leaf=LEAF_ROWS, tried=TRIED, chance=np.random.default_rng(seed))
        mean = float(y.mean())
        weights.append(_ridge(x.words, y - mean))
        bias.append(mean)
    return {
        "names": np.array(names()),
        "version": np.array(VERSION),
        "feature": np.array(nodes.feature, np.uint8),
        "threshold": np.array(nodes.threshold, np.float16),
        "right": np.array(nodes.right, np.int32),
        "roots": np.array(nodes.roots, np.int32),
        "local_trees": np.array(TREES),
        "weights": np.array(weights, np.float16),
        "bias": np.array(bias),
        "blend": np.array(BLEND),
        "local_line": np.array((1.0, 0.0)),
        "gain_line": np.array((1.0, 0.0)),
    }


def _ridge(words: Floats, y: Floats) -> Floats:
    """Ridge regression in its dual form: there are fewer rows than slots."""
    kernel = words @ words.T
    kernel[np.diag_indices_from(kernel)] += RIDGE
    return (words.T @ np.linalg.solve(kernel, y)).astype(np.float32)


def raw(arrays: dict[str, Any], data: Examples, index: NDArray[np.intp]) -> NDArray[np.float64]:
    """Uncalibrated estimates (local, gain) of some rows."""
    heads = Heads(arrays)
    return np.array([heads.raw_of(data.x.shape[row], data.x.words[row]) for row in index])


def calibrate(
    estimates: NDArray[np.float64], small: Floats, gain: Floats
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Platt's line for the local head and a straight one for the gain, on estimates of rows not trained on."""
    odds = np.array([logit(p) for p in estimates[:, 0]])
    slope, shift = 1.0, 0.0
    for _ in range(50):
        p = np.array([sigmoid(slope * x + shift) for x in odds])
        error, spread = p - small, p * (1 - p)
        gradient = np.array([(error * odds).sum(), error.sum()])
        hessian = np.array(
            [[(spread * odds * odds).sum(), (spread * odds).sum()], [(spread * odds).sum(), spread.sum()]]
        )
        step = np.linalg.solve(hessian, gradient)
        slope, shift = slope - float(step[0]), shift - float(step[1])
    known = ~np.isnan(gain)
    line = np.polyfit(estimates[known, 1], gain[known], 1)
    return (slope, shift), (float(line[0]), float(line[1]))


def out_of_fold(data: Examples, seed: int) -> NDArray[np.float64]:
    """Estimates of every row by heads that saw neither it nor its twin without tools."""
    fold = np.random.default_rng(seed).integers(0, FOLDS, int(data.group.max()) + 1)[data.group]
    found = np.zeros((len(data.group), 2))
    for number in range(FOLDS):
        held = np.flatnonzero(fold == number)
        found[held] = raw(fit(data, np.flatnonzero(fold != number), seed), data, held)
    return found


def curve_of(rows: list[Row], data: Examples, estimates: NDArray[np.float64]) -> NDArray[np.float16]:
    """What `calibrate` falls back on: gain, local and cloud success of each coding row, out of fold."""
    coding = [row.set in MIXED and row.kind != LEFT_OUT for row in rows]
    first = [at for at, number in enumerate(data.group) if coding[number] and at < len(rows)]
    gains, small = estimates[first, 1], data.small[first]
    return np.stack([gains, small, small + data.gain[first]], axis=1).astype(np.float16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=ARTEFACT)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    started = time.monotonic()
    rows = [*load(options.data, "train"), *house_rows()]
    data = examples(rows)
    estimates = out_of_fold(data, options.seed)
    outcomes = np.array(
        [rows[number].set != "house" and rows[number].kind != LEFT_OUT for number in data.group]
    )
    local_line, gain_line = calibrate(estimates[outcomes], data.small[outcomes], data.gain[outcomes])
    print(f"calibration from {FOLDS} folds: local {local_line}, gain {gain_line}")
    arrays = fit(data, np.arange(len(data.group)), options.seed)
    arrays |= {"local_line": np.array(local_line), "gain_line": np.array(gain_line)}
    arrays |= {
        "curve": curve_of(rows, data, estimates * np.array((1, gain_line[0])) + np.array((0, gain_line[1])))
    }
    np.savez_compressed(options.out, **arrays)
    size = options.out.stat().st_size / 1e6
    nodes = len(arrays["feature"])
    print(f"{options.out}: {size:.2f} MB, {nodes} nodes, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
