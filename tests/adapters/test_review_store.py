"""Reviews in the database: whole, for thirty days, and in words when it does not work."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from brainrouter.adapters.review_store import CannotKeep, ReviewStore
from brainrouter.adapters.store import KEPT_DAYS, SCHEMA_VERSION, EventStore
from brainrouter.policy.review_session import Outcome, Session, begin_round, end_round


@pytest.fixture
def events(tmp_path: Path) -> Iterator[EventStore]:
    store = EventStore(tmp_path / "brainrouter.db")
    store.start()
    yield store
    store.close()


def session(name: str, age_days: float = 0) -> Session:
    now = time.time() - age_days * 86_400
    made = Session(f"id-{name}", name, "/project", "summary", now, now, 5)
    begin_round(made, now)
    end_round(made, Outcome("needs_revision", "words"), now)
    return made


def test_a_session_comes_back_as_it_was_kept(events: EventStore):
    store = ReviewStore(events)

    async def go() -> None:
        kept = session("one")
        await store.save(kept, {"id": kept.id})
        assert await store.get(kept.id) == kept
        assert await store.latest("one", "/project") == kept
        assert await store.latest("one", "/elsewhere") is None
        assert await store.get("id-nobody") is None
        assert await store.rows(10, "needs_revision") == ([{"id": "id-one"}], 1)
        assert await store.rows(10, "approved") == ([], 0)
        assert await store.unfinished() == []

    asyncio.run(go())


def test_a_session_goes_after_thirty_days(events: EventStore):
    store = ReviewStore(events)

    async def go() -> None:
        for one in (session("old", KEPT_DAYS + 1), session("young", KEPT_DAYS - 1)):
            await store.save(one, {"id": one.id})
        await store.save(session("new"), {"id": "id-new"})
        rows, total = await store.rows(10, None)
        assert [row["id"] for row in rows] == ["id-new", "id-young"]
        assert total == 2

    asyncio.run(go())


def test_a_database_of_the_future_or_one_that_is_closed_is_said_and_left_alone(tmp_path: Path):
    path = tmp_path / "brainrouter.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(f"pragma user_version={SCHEMA_VERSION + 1}")
    events = EventStore(path)
    events.start()
    store = ReviewStore(events)
    with pytest.raises(CannotKeep, match="newer brainrouter"):
        asyncio.run(store.get("x"))
    events.close()
    with pytest.raises(CannotKeep, match="closed"):
        asyncio.run(store.get("x"))
    assert not list(tmp_path.glob("*broken*"))
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("pragma user_version").fetchone() == (SCHEMA_VERSION + 1,)
