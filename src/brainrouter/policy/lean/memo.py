"""Results that come up again at every turn of a session, remembered within bounds. Not for several threads."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Memo(Generic[T]):
    """The latest `entries` results, each of at most `largest` bytes of material: nobody may change one."""

    def __init__(self, entries: int, largest: int) -> None:
        self._entries = entries
        self._largest = largest
        self._held: dict[Hashable, T] = {}

    def get(self, key: Hashable, size: int, make: Callable[[], T]) -> T:
        """What `make` makes of material of this `size`, or made before. `key` must tell all that it depends on."""
        held = self._held
        found = held.pop(key, None)
        if found is None:
            found = make()
            if size > self._largest:
                return found
            if len(held) >= self._entries:
                del held[next(iter(held))]
        held[key] = found
        return found

    def __len__(self) -> int:
        return len(self._held)
