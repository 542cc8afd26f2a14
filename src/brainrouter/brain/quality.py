"""How good a router is, by the field's own measures. Pure: lists of numbers in, numbers out.

`cloud` scores rank (higher goes to the cloud first), `small` and `large` are what each side achieved (0 to 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Numbers = Sequence[float]


@dataclass(frozen=True, slots=True)
class Quality:
    """`auc_local` for "the local side succeeds"; `apgr`: .5 is random; `lift95` in points; `ece` of ok_local."""

    count: int
    small: float
    large: float
    auc_local: float
    apgr: float
    lift95: float
    ece: float


def quality(gain: Numbers, ok_local: Numbers, small: Numbers, large: Numbers) -> Quality:
    """All measures of one set. `large` empty where no cloud outcome is known: then apgr and lift95 are nan."""
    mean_small = sum(small) / len(small)
    known = bool(large)
    mean_large = sum(large) / len(large) if known else math.nan
    return Quality(
        count=len(small),
        small=mean_small,
        large=mean_large,
        auc_local=auc(ok_local, small, [1 - share for share in small]),
        apgr=apgr(gain, small, large) if known else math.nan,
        lift95=lift(gain, small, large, 0.95) if known else math.nan,
        ece=ece(ok_local, small),
    )


def auc(scores: Numbers, positive: Numbers, negative: Numbers) -> float:
    """Weighted area under the ROC curve; ties count half."""
    total_positive, total_negative = sum(positive), sum(negative)
    if total_positive <= 0 or total_negative <= 0:
        return math.nan
    area = below = 0.0
    rows = sorted(zip(scores, positive, negative, strict=True))
    at = 0
    while at < len(rows):
        end, wins, losses = at, 0.0, 0.0
        while end < len(rows) and rows[end][0] == rows[at][0]:
            wins += rows[end][1]
            losses += rows[end][2]
            end += 1
        area += wins * (below + losses / 2)
        below += losses
        at = end
    return area / (total_positive * total_negative)


def curve(gain: Numbers, small: Numbers, large: Numbers) -> list[tuple[float, float]]:
    """Points (cloud share, success): the requests of highest gain go to the cloud first; ties are spread evenly."""
    rows = sorted(zip(gain, small, large, strict=True), key=lambda row: -row[0])
    success = sum(small) / len(rows)
    points = [(0.0, success)]
    at = 0
    while at < len(rows):
        end = at
        while end < len(rows) and rows[end][0] == rows[at][0]:
            success += (rows[end][2] - rows[end][1]) / len(rows)
            end += 1
        points.append((end / len(rows), success))
        at = end
    return points


def apgr(gain: Numbers, small: Numbers, large: Numbers) -> float:
    """The area under the share of the local-to-cloud gap that is recovered, over all cloud shares."""
    points = curve(gain, small, large)
    low, gap = points[0][1], points[-1][1] - points[0][1]
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
    return (area - low) / gap if gap else math.nan


def share_needed(points: Sequence[tuple[float, float]], target: float) -> float:
    """The smallest cloud share whose success reaches `target`, along straight lines between the points."""
    if points[0][1] >= target:
        return 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        if y1 >= target > y0:
            return x0 + (x1 - x0) * (target - y0) / (y1 - y0)
    return 1.0


def lift(gain: Numbers, small: Numbers, large: Numbers, kept: float) -> float:
    """Percentage points more requests than a random router keeps local, at `kept` of the all-cloud success."""
    points = curve(gain, small, large)
    low, high = points[0][1], points[-1][1]
    gap = high - low
    random_share = 0.0 if gap <= 0 else max(0.0, min(1.0, (high * kept - low) / gap))
    return 100 * (1 - share_needed(points, high * kept) - (1 - random_share))


def ece(probabilities: Numbers, outcomes: Numbers) -> float:
    """Expected calibration error over ten bins."""
    bins: dict[int, list[tuple[float, float]]] = {}
    for probability, outcome in zip(probabilities, outcomes, strict=True):
        bins.setdefault(min(9, int(probability * 10)), []).append((probability, outcome))
    gaps = (abs(sum(p for p, _ in rows) - sum(o for _, o in rows)) for rows in bins.values())
    return sum(gaps) / len(probabilities)


def interval(
    measure: Callable[[list[int]], float], count: int, rounds: int = 200, seed: int = 7
) -> tuple[float, float]:
    """The middle 95 % of `measure` over resampled row numbers."""
    chance = np.random.default_rng(seed)
    found = sorted(
        value
        for _ in range(rounds)
        if not math.isnan(value := measure(chance.integers(0, count, count).tolist()))
    )
    if not found:
        return math.nan, math.nan
    return found[int(0.025 * len(found))], found[min(len(found) - 1, int(0.975 * len(found)))]
