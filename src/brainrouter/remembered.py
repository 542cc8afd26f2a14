"""What was worked out before, found again: by the value it came of, or by the very object."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Memo(dict[K, V]):
    """`memo[key]` is `work_out(key)`, kept for the first `size` different keys.

    For what comes from outside and in few forms: where it does not, it cannot fill the memory.
    """

    __slots__ = ("_size", "_work_out")

    def __init__(self, work_out: Callable[[K], V], size: int) -> None:
        self._work_out = work_out
        self._size = size

    def __missing__(self, key: K) -> V:
        value = self._work_out(key)
        if len(self) < self._size:
            self[key] = value
        return value


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
