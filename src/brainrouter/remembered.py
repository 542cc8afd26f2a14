"""What was worked out of the last few objects, found again by their identity."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """A function of an object that works once for each of the last `size` of them.

    For objects that are shared rather than made anew, and never changed. They are held, so that an id means one object.
    """

    def __init__(self, work_out: Callable[[K], V], size: int) -> None:
        self._work_out = work_out
        self._size = size
        self._known: OrderedDict[int, tuple[K, V]] = OrderedDict()

    def __call__(self, key: K) -> V:
        """What `work_out(key)` gives, or gave."""
        held = self._known.get(id(key))
        if held is not None:
            return held[1]
        found = self._work_out(key)
        self._known[id(key)] = key, found
        if len(self._known) > self._size:
            self._known.popitem(last=False)
        return found
