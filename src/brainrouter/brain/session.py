"""What is remembered of one conversation, so that it does not hop between two models. Pure: time is given."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from brainrouter.wire.ask import Route

IDLE_S = 1800.0  # after this long no prompt cache is warm, and a person has moved on
KEPT = 2000
LATCH_TURNS = 3
TEXT_KEPT = 400


@dataclass(slots=True)
class Session:
    """`side` is where its last answer came from. `latched` says why it stays in the cloud; None when it does not.

    `latched_for` counts the user turns that the latch still holds.
    """

    seen: float
    side: Route | None = None
    latched: str | None = None
    latched_for: int = 0
    last_text: str = ""
    escalations: int = 0
    local_calls: int = 0

    def latch(self, why: str) -> None:
        """Keep the session in the cloud until a safe point."""
        self.latched, self.latched_for = why, LATCH_TURNS
        self.escalations += 1

    def user_spoke(self, text: str) -> None:
        """A user turn: a latch lasts for some of them."""
        self.last_text = text[:TEXT_KEPT]
        self.local_calls = 0
        if self.latched is not None:
            self.latched_for -= 1
            if self.latched_for < 0:
                self.latched = None

    def compacted(self) -> None:
        """The conversation starts anew from a summary: nothing is warm, and what went wrong is behind it."""
        self.latched = None

    def landed(self, side: Route) -> None:
        """An answer of this conversation came from `side`."""
        self.side = side


class Sessions:
    """The conversations that are going on: bounded, and forgotten when idle."""

    def __init__(self, kept: int = KEPT, idle_s: float = IDLE_S) -> None:
        self._kept, self._idle_s = kept, idle_s
        self._held: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[tuple[str, Session]]:
        return iter(self._held.items())

    def get(self, key: str, now: float) -> Session:
        """The session of that key; a new one when there is none, or when it was idle for too long."""
        found = self._held.get(key)
        if found is None or now - found.seen > self._idle_s:
            found = self._held[key] = Session(now)
        found.seen = now
        self._held.move_to_end(key)
        while len(self._held) > self._kept:
            self._held.popitem(last=False)
        return found
