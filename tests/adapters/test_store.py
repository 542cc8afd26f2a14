"""What is kept on disk: written beside the path of a request, never in its way, never lost quietly."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from pathlib import Path

import msgspec
import pytest

from brainrouter.adapters.history import past
from brainrouter.adapters.store import KEPT_DAYS, SCHEMA_VERSION, EventStore
from brainrouter.wire.event import RoutingEvent


def event(number: int, at: float | None = None) -> RoutingEvent:
    return RoutingEvent(
        id=number, time=at or time.time(), dialect="chat", requested_model="auto", stream=False
    )


def kept(path: Path) -> list[int]:
    return [item.event.id for item in past(path)]


def write(path: Path, *events: RoutingEvent) -> EventStore:
    store = EventStore(path)
    store.start()
    store.add(list(events))
    store.close()
    return store


def test_what_was_added_is_there_after_the_end(tmp_path: Path) -> None:
    path = tmp_path / "state" / "b.db"
    assert write(path, *map(event, range(1210))).lost == 0  # two full rows and a rest
    assert kept(path) == list(range(1210))
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("select count from batches").fetchall() == [(500,), (500,), (210,)]
    assert path.stat().st_mode & 0o777 == 0o600
    write(path, event(5000))
    assert kept(path)[-1] == 5000


def test_an_event_comes_back_as_it_was_though_only_what_is_known_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    bare = event(1)
    told = msgspec.structs.replace(
        bare, id=2, decision="cloud", gain=0.0, attempts=["a: b"], outcome_ok=False
    )
    write(path, bare, told)
    assert [item.event for item in past(path)] == [bare, told]
    with contextlib.closing(sqlite3.connect(path)) as database:
        bodies = [body for row in database.execute("select body from batches") for body in json.loads(row[0])]
    assert set(bodies[0]) == {"id", "time", "dialect", "requested_model", "stream"}
    assert set(bodies[1]) - set(bodies[0]) == {"decision", "gain", "attempts", "outcome_ok"}


def test_old_events_go_and_young_ones_stay(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    write(path, event(1, time.time() - (KEPT_DAYS + 1) * 86_400))
    write(path, event(2, time.time() - (KEPT_DAYS - 1) * 86_400))
    write(path)
    write(path, event(3))
    assert kept(path) == [2, 3]


def test_an_event_that_no_json_can_be_made_of_takes_no_other_along(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "b.db"
    bad = msgspec.structs.replace(event(2), cwd="/caf\udce9")
    store = EventStore(path)
    store.start()
    for events in ([event(1), bad, event(3)], [bad]):
        store.add(events)
        store.run(lambda _: None).result(30)  # until they are written
    store.close()
    assert (store.lost, store.problem, kept(path)) == (2, None, [1, 3])
    assert len(caplog.records) == 1


def test_a_damaged_database_is_laid_aside_with_all_of_it(tmp_path: Path) -> None:
    rubbish = b"this is no database, but it is long enough to look like one" * 20
    path = tmp_path / "b.db"
    path.write_bytes(rubbish)
    store = write(path, event(1))
    assert (store.lost, kept(path)) == (0, [1])
    (aside,) = tmp_path.glob("b.db.broken-*")
    assert aside.read_bytes() == rubbish


def test_a_database_of_a_newer_version_is_left_alone_and_the_loss_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    write(path, event(1))
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(f"pragma user_version={SCHEMA_VERSION + 1}")
    store = write(path, event(2))
    assert store.lost == 1
    assert "newer" in (store.problem or "")
    assert kept(path) == [1]


def test_a_folder_that_cannot_be_written_is_counted_and_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = write(tmp_path / "file" / "b.db", event(1), event(2))
    assert store.lost == 2
    assert store.problem


def test_a_store_that_was_never_started_closes_at_once(tmp_path: Path) -> None:
    EventStore(tmp_path / "b.db").close()
