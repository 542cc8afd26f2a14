"""What is kept of events is read as one, whichever version wrote it, and no more of it than is asked for."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from brainrouter.adapters import event_history
from brainrouter.adapters.event_history import tally
from brainrouter.adapters.history import past
from brainrouter.adapters.store import KEPT_DAYS, EventStore
from brainrouter.wire.event import RoutingEvent

# As the version before made and filled it: a row for each event.
OLD_TABLE = """
create table if not exists events (
  time real not null, id integer not null, decision text, reason text not null, stage text not null, model text,
  provider text, fallback text, status integer, error text, total_ms real, body blob not null
);
create index if not exists events_time on events (time);
pragma user_version=2;
"""
OLD_INSERT = "insert into events values (?,?,?,?,?,?,?,?,?,?,?,?)"


def event(number: int, age_s: float = 0.0, **fields: Any) -> RoutingEvent:
    at = time.time() - age_s
    return RoutingEvent(id=number, time=at, dialect="chat", requested_model="auto", stream=False, **fields)


def write(path: Path, *batches: list[RoutingEvent]) -> None:
    """Each list as a batch of its own."""
    store = EventStore(path)
    store.start()
    for batch in batches:
        store.add(batch)
        store.run(lambda _: None).result(30)  # until they are written
    store.close()


def write_as_before(path: Path, *events: RoutingEvent) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript(OLD_TABLE)
        for one in events:
            row = (
                one.time, one.id, one.decision, one.reason, one.stage, one.model, one.provider, one.fallback,
                one.status, one.error, one.total_ms, msgspec.json.encode(one),
            )  # fmt: skip
            database.execute(OLD_INSERT, row)


def came_back(path: Path, limit: int = 100) -> list[RoutingEvent]:
    return [item.event for item in past(path, limit)]


def counted(path: Path, age_s: float = 3600.0) -> int:
    return tally(path, time.time() - age_s, 60.0).requests


def test_what_the_version_before_kept_comes_back_beside_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    old = [event(1, 30.0), event(2, 20.0, decision="cloud")]
    write_as_before(path, *old)
    assert (came_back(path), counted(path)) == (old, 2)  # no newer one has opened it yet
    new = [event(3, 10.0), event(4)]
    write(path, new)
    assert (came_back(path), counted(path)) == (old + new, 4)
    assert came_back(path, 3) == [*old[1:], *new]


def test_the_version_before_still_keeps_its_events_in_a_database_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    ours = event(1, 10.0)
    write(path, [ours])
    theirs = event(2)
    write_as_before(path, theirs)
    assert (came_back(path), counted(path)) == ([ours, theirs], 2)


def test_what_the_version_before_kept_goes_after_thirty_days(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    young = event(2, (KEPT_DAYS - 1) * 86_400)
    write_as_before(path, event(1, (KEPT_DAYS + 1) * 86_400), young)
    write(path, [])
    assert came_back(path) == [young]


def test_the_charts_say_the_same_of_events_in_either_form(tmp_path: Path) -> None:
    events = [
        event(1),
        event(2, 5.0, decision="cloud", reason="heads (0.4)", side="cloud", status=200, total_ms=90.0,
              first_byte_ms=9.5, prompt_tokens=7, completion_tokens=3),
        event(3, 9.0, decision="cloud", reason="heads (0.7)", side="local", status=200, total_ms=50.0,
              fallback="the cloud: said \"no\""),
        event(4, 70.0, decision="local", status=499, error="the client left", total_ms=10.0),
        event(5, 80.0, decision="local", error="refused", total_ms=10.0),
        event(6, 90.0, decision="local", reason="asked for local", side="local", total_ms=40.25, prompt_tokens=1),
    ]  # fmt: skip
    write_as_before(tmp_path / "old.db", *events)
    write(tmp_path / "new.db", events[:2], events[2:])
    since = time.time() - 3600
    said = tally(tmp_path / "new.db", since, 60.0)
    assert said == tally(tmp_path / "old.db", since, 60.0)
    assert (said.requests, said.fallbacks) == (6, 1)
    assert ("cloud", "heads", 2) in said.reasons
    assert (None, "", 1) in said.reasons
    assert said.sides["cloud"] == event_history.SideTotals(1, 0, 7, 3, 0, 90.0, 90.0, 9.5)
    assert said.sides["local"] == event_history.SideTotals(4, 1, 1, 0, 2, 40.25, 50.0, None)


def test_a_long_request_that_ended_late_is_found_where_it_arrived(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    long, short = event(1, 600.0), event(2, 1.0)
    write(path, [event(3, 5.0)], [short, long])
    assert [one.id for one in came_back(path)] == [1, 3, 2]
    assert (counted(path, 60.0), counted(path, 900.0)) == (2, 3)


def test_no_more_is_read_than_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "b.db"
    write(path, [event(1, 50.0)], [event(2, 40.0)], [event(3, 30.0), event(4, 20.0)], [event(5)])
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("update batches set body = 'no JSON' where time < ?", (time.time() - 45,))
    for limit in range(1, 5):
        assert [one.id for one in came_back(path, limit)] == [2, 3, 4, 5][-limit:]
        monkeypatch.setattr(event_history, "ROWS_MAX", limit)
        assert counted(path) == limit
    with pytest.raises(OSError, match="JSON"):
        past(path, 5)
    monkeypatch.setattr(event_history, "ROWS_MAX", 5)
    with pytest.raises(OSError, match="JSON"):
        counted(path)
