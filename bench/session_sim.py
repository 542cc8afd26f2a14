"""Local first, cloud when it drags on: SWE-bench runs replayed turn by turn. `python -m bench.session_sim DATA`.

A policy may look at the issue's text and at how many turns the local model has made so far, never at how many it will
make. It escalates an issue at the first turn whose price is reached; sweeping the price gives the curve. What the
policy knows of texts is fitted on other folds than it is judged on.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.routing_data import Matrix, Row, load, matrix
from brainrouter.brain.quality import apgr, interval, lift

LOCAL, CLOUD = "devstral-small-2512(24B)", "claude-opus-4.5"
TURNS = "api_calls_devstral"
FOLDS, REPEATS = 5, 10
MAX_TURNS = 250

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Runs:
    """Issues that both models tried: outcomes, and how many turns the local one made in all."""

    rows: list[Row]
    x: Matrix
    turns: Array
    small: Array
    large: Array

    @property
    def gain(self) -> Array:
        return self.large - self.small


def runs(folder: Path) -> Runs:
    """Train and dev together: the holdout is not here, and folds keep fitting and judging apart."""
    rows = [
        row
        for split in ("train", "dev")
        for row in load(folder, split)
        if row.set == "swe" and LOCAL in row.by_model and CLOUD in row.by_model and row.meta.get(TURNS)
    ]
    return Runs(
        rows,
        matrix([(row.text, ()) for row in rows]),
        np.array([row.meta[TURNS] for row in rows], float),
        np.array([row.by_model[LOCAL] for row in rows], float),
        np.array([row.by_model[CLOUD] for row in rows], float),
    )


# A policy fits on some runs and gives, for others, the price at each turn: row i, column t is what escalating issue i
# after turn t + 1 is thought to be worth. It sees the texts of the others and nothing else of them.
Policy = Callable[[Runs, NDArray[np.intp], NDArray[np.intp]], Array]


def replay(data: Runs, policy: Policy, seed: int) -> Array:
    """For each issue the highest price it reaches while its local run lasts: turn by turn, then the run is over."""
    fold = np.random.default_rng(seed).permutation(len(data.rows)) % FOLDS
    reached = np.zeros(len(data.rows))
    for number in range(FOLDS):
        held = np.flatnonzero(fold == number)
        prices = policy(data, np.flatnonzero(fold != number), held)
        for row, at in enumerate(held):
            reached[at] = -math.inf
            for turn in range(min(int(data.turns[at]), MAX_TURNS)):
                reached[at] = max(reached[at], prices[row, turn])
    return reached


def budget(_: Runs, __: NDArray[np.intp], held: NDArray[np.intp]) -> Array:
    """One budget of turns for all."""
    return np.tile(np.arange(1.0, MAX_TURNS + 1), (len(held), 1))


def hazard(data: Runs, fitted: NDArray[np.intp], held: NDArray[np.intp]) -> Array:
    """What the cloud adds to issues whose local run lasts at least so long: a smooth curve over the fitted runs."""
    turns = np.arange(1.0, MAX_TURNS + 1)
    lasting = data.turns[fitted][None, :] >= turns[:, None]
    gains = np.where(lasting, data.gain[fitted][None, :], 0).sum(1)
    curve = np.maximum.accumulate((gains + 8 * data.gain[fitted].mean()) / (lasting.sum(1) + 8))
    return np.tile(curve + turns * 1e-6, (len(held), 1))


def with_text(strength: float, weight: float) -> Policy:
    """The turn budget, shorter for issues whose words promise that the cloud adds much, longer for the others."""

    def policy(data: Runs, fitted: NDArray[np.intp], held: NDArray[np.intp]) -> Array:
        words = data.x.words.astype(float)
        # What the words say beyond the turns: the gain's residual on the logarithm of the turns.
        slope, start = np.polyfit(np.log(data.turns[fitted]), data.gain[fitted], 1)
        rest = data.gain[fitted] - (slope * np.log(data.turns[fitted]) + start)
        kernel = words[fitted] @ words[fitted].T
        dual = np.linalg.solve(kernel + strength * np.eye(len(fitted)), rest - rest.mean())
        said = words[held] @ (words[fitted].T @ dual)
        turns = np.log(np.arange(1.0, MAX_TURNS + 1))
        return slope * turns[None, :] + weight * said[:, None]

    return policy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    data = runs(parser.parse_args().data)
    print(f"{len(data.rows)} issues: local {data.small.mean():.3f}, cloud {data.large.mean():.3f}")
    policies: dict[str, Policy] = {
        "turn budget": budget,
        "lasting runs": hazard,
        "turns and words, ridge 3, x1": with_text(3.0, 1.0),
    }
    small, large = data.small.tolist(), data.large.tolist()
    for name, policy in policies.items():
        scores = [replay(data, policy, seed) for seed in range(REPEATS if policy is not budget else 1)]
        values = [apgr(score.tolist(), small, large) for score in scores]
        mean = np.mean([np.argsort(np.argsort(score)) for score in scores], axis=0)

        def resampled(picked: list[int], mean: Array = mean) -> float:
            return apgr(mean[picked].tolist(), data.small[picked].tolist(), data.large[picked].tolist())

        low, high = interval(resampled, len(data.rows))
        kept = lift(mean.tolist(), small, large, 0.95)
        print(f"{name:32} APGR {np.mean(values):.3f} [{low:.3f}, {high:.3f}]  lift95 {kept:+.1f}")


if __name__ == "__main__":
    main()
