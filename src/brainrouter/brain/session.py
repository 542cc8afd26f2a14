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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an earlier event's answer: whether it was good enough, and how that is known."""

    event: int
    ok: bool
    why: str


@dataclass(slots=True)
class Session:
    """`side` is where its last answer came from. `latched` says why it stays in the cloud; None when it does not.

    `latched_for` counts the user turns that the latch still holds. `judging` is the event of the user's turn whose
    answer the next turn will tell something about. `cold`: no prompt cache of it can be warm any more.
    `pinned`: a person said where it shall be answered. `named` says why it may not leave this machine any more.
    """

    seen: float
    key: str = ""
    side: Route | None = None
    latched: str | None = None
    latched_for: int = 0
    last_text: str = ""
    judging: int | None = None
    cold: bool = False
    pinned: Route | None = None
    named: str | None = None

    def latch(self, why: str) -> None:
        """Keep the session in the cloud until a safe point."""
        self.latched, self.latched_for = why, LATCH_TURNS

    def user_spoke(self, text: str) -> None:
        """A user turn: a latch lasts for some of them."""
        self.last_text = text[:TEXT_KEPT]
        if self.latched is not None:
            self.latched_for -= 1
            if self.latched_for < 0:
                self.latched = None

    def compacted(self) -> None:
        """The conversation starts anew from a summary: nothing is warm, and what went wrong is behind it."""
        self.latched = None

    def rested(self) -> None:
        """Nobody was here for long: a person may begin anew. A tool loop that took so long still has its side."""
        self.latched, self.cold = None, True

    def landed(self, side: Route, event: int | None) -> None:
        """An answer of this conversation came from `side`; `event` is given for one to a user's turn."""
        self.side, self.cold = side, False
        if event is not None:
            self.judging = event

    def judged(self, trouble: str | None) -> Outcome | None:
        """What became of the user's turn before, now that more is known: at most once for each."""
        event, self.judging = self.judging, None
        return None if event is None else Outcome(event, trouble is None, trouble or "the user went on")


class Sessions:
    """The conversations that are going on: as many as are kept, the longest silent forgotten first."""

    def __init__(self, kept: int = KEPT, idle_s: float = IDLE_S) -> None:
        self._kept, self._idle_s = kept, idle_s
        self._held: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[tuple[str, Session]]:
        return iter(self._held.items())

    def forget(self, key: str) -> None:
        """Drop a session, if there is one of that key."""
        self._held.pop(key, None)

    def find(self, key: str) -> Session | None:
        """The session of that key, untouched, if it is known."""
        return self._held.get(key)

    def get(self, key: str, now: float) -> Session:
        """The session of that key; a new one when there is none, a rested one when it was idle for long."""
        found = self._held.get(key)
        if found is None:
            found = self._held[key] = Session(now, key)
        elif now - found.seen > self._idle_s:
            found.rested()
        found.seen = now
        self._held.move_to_end(key)
        while len(self._held) > self._kept:
            self._held.popitem(last=False)
        return found
