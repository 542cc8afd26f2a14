"""What was worked out of the last few objects, found again by their identity."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def remembered(work_out: Callable[[K], V], size: int) -> Callable[[K], V]:
    """`work_out`, done once for each of the last `size` objects that it is asked of.

    For objects that are shared rather than made anew, and never changed. They are held, so that an id means one object.
    """
    known: OrderedDict[int, tuple[K, V]] = OrderedDict()

    def found(key: K) -> V:
        held = known.get(id(key))
        if held is not None:
            return held[1]
        value = work_out(key)
        known[id(key)] = key, value
        if len(known) > size:
            known.popitem(last=False)
        return value

    return found
