"""The user's own past, read from the database beside a running daemon: what was decided, and what became of it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import msgspec

from brainrouter.adapters.kept_events import EVENTS, opened
from brainrouter.wire.event import RoutingEvent

_BODIES = f"select b from ({EVENTS})"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Past:
    """One kept event, and what a later request of its session told of it: None when nothing did."""

    event: RoutingEvent
    ok: bool | None
    why: str | None


def past(path: Path, limit: int = 20_000) -> list[Past]:
    """The last events, oldest first; empty without a database. Raises OSError when it cannot be read."""
    if not path.is_file():
        return []
    try:
        with opened(path) as database:
            bodies = database.execute(_BODIES, {"since": 0.0, "rows": limit}).fetchall()
    except sqlite3.Error as error:
        raise OSError(f"{path}: {error}") from error
    decoder = msgspec.json.Decoder(RoutingEvent)  # what an older version did not know holds its default
    events = [decoder.decode(body) for (body,) in bodies]
    events.sort(key=lambda event: (event.time, event.id))
    return _joined(events[-limit:])


def _joined(events: list[RoutingEvent]) -> list[Past]:
    """Outcomes beside the events they are of: the nearest earlier one of that id (ids begin anew with a daemon)."""
    outcomes: dict[int, tuple[bool | None, str | None]] = {}
    latest: dict[int, int] = {}
    for at, event in enumerate(events):
        if event.outcome_of is not None and event.outcome_of in latest:
            outcomes[latest[event.outcome_of]] = event.outcome_ok, event.outcome_why
        latest[event.id] = at
    return [Past(event, *outcomes.get(at, (None, None))) for at, event in enumerate(events)]
