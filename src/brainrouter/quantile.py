"""The quantile of what was measured: one way to say p50 and p95 everywhere in the house."""

from __future__ import annotations

from collections.abc import Sequence


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of an ascending, not empty sequence lies below, between two of them on a line.

    Grows with `share`, however few the values are.
    """
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
