"""Extremely randomised trees in numpy: small enough to read, reproducible, and no library to keep for one script."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from brainrouter.brain.heads import LEAF

Floats = NDArray[np.float32]


@dataclass
class Nodes:
    """Trees as brain/heads.py reads them: one row of nodes, left child next, right child named."""

    feature: list[int] = field(default_factory=list[int])
    threshold: list[float] = field(default_factory=list[float])
    right: list[int] = field(default_factory=list[int])
    roots: list[int] = field(default_factory=list[int])


def grow(
    nodes: Nodes, x: Floats, y: Floats, *, trees: int, leaf: int, tried: int, chance: np.random.Generator
) -> None:
    """Add `trees` to `nodes`: at each node `tried` features with one random threshold each, the best split kept."""
    for _ in range(trees):
        nodes.roots.append(len(nodes.feature))
        _grow_node(nodes, x, y, np.arange(len(y)), leaf, tried, chance)


def _grow_node(
    nodes: Nodes,
    x: Floats,
    y: Floats,
    rows: NDArray[np.intp],
    leaf: int,
    tried: int,
    chance: np.random.Generator,
) -> None:
    number = len(nodes.feature)
    split = _split(x, y, rows, leaf, tried, chance) if len(rows) >= 2 * leaf else None
    nodes.feature.append(LEAF if split is None else split[0])
    nodes.threshold.append(float(y[rows].mean()) if split is None else split[1])
    nodes.right.append(number)
    if split is None:
        return
    goes_left = x[rows, split[0]] <= split[1]
    _grow_node(nodes, x, y, rows[goes_left], leaf, tried, chance)
    nodes.right[number] = len(nodes.feature)
    _grow_node(nodes, x, y, rows[~goes_left], leaf, tried, chance)


def _split(
    x: Floats, y: Floats, rows: NDArray[np.intp], leaf: int, tried: int, chance: np.random.Generator
) -> tuple[int, float] | None:
    features = chance.choice(x.shape[1], tried, replace=False)
    here = y[rows]
    columns = x[np.ix_(rows, features)]
    low, high = columns.min(0), columns.max(0)
    varies = np.flatnonzero(high > low)
    if not len(varies):
        return None
    low, high = low[varies], high[varies]
    # What the artefact keeps: half precision, so that training and serving split alike.
    cuts = (low + (high - low) * chance.random(len(varies), np.float32)).astype(np.float16).astype(np.float32)
    left = columns[:, varies] <= cuts
    many_left = left.sum(0)
    many_right = len(rows) - many_left
    sum_left = here @ left
    sum_right = here.sum() - sum_left
    fits = (many_left >= leaf) & (many_right >= leaf)
    if not fits.any():
        return None
    gain = np.where(
        fits, sum_left**2 / np.maximum(many_left, 1) + sum_right**2 / np.maximum(many_right, 1), -np.inf
    )
    best = int(gain.argmax())
    return int(features[varies[best]]), float(cuts[best])
