"""Would it succeed there? Two calibrated heads over the shape and the words of a request. Pure; well under 5 ms.

A forest of random trees over what can be counted, blended with a linear reading of the hashed words; one pair of them
estimates whether a local model succeeds, the other what the cloud adds to that. What they learnt lies in an artefact
that `python -m bench.train_heads` makes; `docs/routing-quality.md` says from what and how good it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainrouter.brain.hashing import clipped, hashed
from brainrouter.brain.shape import Tool, names, shape

LEAF = 255
EDGE = 0.02  # no head is surer than this, however sure its trees are


@dataclass(frozen=True, slots=True)
class Score:
    """`ok_local`, `ok_cloud`: probabilities that each side would succeed. `gain` ranks: what the cloud adds."""

    ok_local: float
    ok_cloud: float
    gain: float


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees laid out in one row of nodes: the left child is the next node, the right one is named.

    A leaf has the feature LEAF and its value where other nodes have their threshold.
    """

    feature: NDArray[np.uint8]
    threshold: NDArray[np.float32]
    right: NDArray[np.int32]
    roots: NDArray[np.int32]

    def values(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        """What each tree says of one row of features."""
        at = self.roots
        while True:
            feature = self.feature[at]
            inner = feature != LEAF
            if not inner.any():
                return self.threshold[at]
            goes_left = row[np.where(inner, feature, 0)] <= self.threshold[at]
            at = np.where(inner, np.where(goes_left, at + 1, self.right[at]), at)


class Heads:
    """The shipped scorer. Raises ValueError for an artefact that was made for other features."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        if tuple(str(name) for name in arrays["names"]) != names():
            raise ValueError(
                "the heads were trained on other features than these; run python -m bench.train_heads"
            )
        self.version = str(arrays["version"])
        self._forest = Forest(
            arrays["feature"],
            arrays["threshold"].astype(np.float32),
            arrays["right"].astype(np.int32),
            arrays["roots"],
        )
        self._local_trees = int(arrays["local_trees"])
        self._weights = arrays["weights"].astype(np.float32)
        self._bias = arrays["bias"]
        self._blend = float(arrays["blend"])
        self._local_line = tuple(map(float, arrays["local_line"]))
        self._gain_line = tuple(map(float, arrays["gain_line"]))

    def score(self, text: str, tools: Sequence[Tool] = ()) -> Score:
        """Score what a user typed, without the harness's envelope. The same text gives the same score."""
        return self.calibrated(*self.raw(text, tools))

    def raw(self, text: str, tools: Sequence[Tool] = ()) -> tuple[float, float]:
        """Before calibration: how likely a local success is, and the cloud's gain."""
        row = np.asarray(shape(clipped(text), tools), np.float32)
        slots, weights = hashed(text)
        return self._blended(row, self._weights[:, slots] @ weights)

    def raw_of(self, row: NDArray[np.float32], words: NDArray[np.float32]) -> tuple[float, float]:
        """The same for features that were computed before: what training calls, so that both agree."""
        return self._blended(row, self._weights @ words)

    def _blended(self, row: NDArray[np.float32], words: NDArray[np.float32]) -> tuple[float, float]:
        linear = words + self._bias
        trees = self._forest.values(row)
        local = float(trees[: self._local_trees].mean())
        gain = float(trees[self._local_trees :].mean())
        blend = self._blend
        return (1 - blend) * local + blend * float(linear[0]), (1 - blend) * gain + blend * float(linear[1])

    def calibrated(self, local: float, gain: float) -> Score:
        """A score out of raw estimates."""
        slope, shift = self._local_line
        ok_local = sigmoid(slope * logit(local) + shift)
        slope, shift = self._gain_line
        gain = slope * gain + shift
        return Score(ok_local, min(1 - EDGE / 2, max(EDGE / 2, ok_local + gain)), gain)


def logit(p: float) -> float:
    """The log odds of `p`, which is first kept away from 0 and 1."""
    p = min(1 - EDGE, max(EDGE, p))
    return math.log(p / (1 - p))


def sigmoid(x: float) -> float:
    """The probability whose log odds are `x`."""
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, x))))
