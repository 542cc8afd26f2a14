"""Reviews in the database. What `save` has answered survives a SIGKILL; nothing is ever half written."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from brainrouter.adapters.store import KEPT_DAYS, EventStore
from brainrouter.policy.review_session import Session

T = TypeVar("T")

_SESSION = msgspec.json.Decoder(Session)


class CannotKeep(Exception):
    """The database does not take or give it, in words for the user."""


class ReviewStore:
    """The reviews of the last 30 days. Every method raises CannotKeep when the database is in trouble."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def save(self, session: Session, row: dict[str, Any]) -> None:
        """Keep a session with the row that lists show. When this returns, it is kept."""
        values = (
            session.id, session.task_id, session.cwd, session.status, int(session.running), session.created_at,
            session.updated_at, msgspec.json.encode(row), msgspec.json.encode(session),
        )  # fmt: skip

        def write(database: sqlite3.Connection) -> None:
            database.execute("insert or replace into reviews values (?,?,?,?,?,?,?,?,?)", values)
            oldest = time.time() - KEPT_DAYS * 86_400
            database.execute("delete from reviews where updated < ?", (oldest,))

        await self._run(write)

    async def get(self, session_id: str) -> Session | None:
        """One session by its id."""
        return await self._one("select body from reviews where id = ?", session_id)

    async def latest(self, task_id: str, cwd: str) -> Session | None:
        """The newest session of a task in a project."""
        return await self._one(
            "select body from reviews where task_id = ? and cwd = ? order by created desc, rowid desc limit 1",
            task_id,
            cwd,
        )

    async def rows(self, limit: int, status: str | None) -> tuple[list[dict[str, Any]], int]:
        """What lists show, the most recently changed first, and how many there are in all."""
        where, given = ("where status = ?", [status]) if status else ("", list[str]())

        def read(database: sqlite3.Connection) -> tuple[list[dict[str, Any]], int]:
            found = database.execute(
                f"select row from reviews {where} order by updated desc limit ?",  # noqa: S608 - one of two constants
                (*given, limit),
            ).fetchall()
            (total,) = database.execute(f"select count(*) from reviews {where}", given).fetchone()  # noqa: S608
            return [msgspec.json.decode(row) for (row,) in found], total

        return await self._run(read)

    async def unfinished(self) -> list[Session]:
        """Sessions that were running when the daemon ended."""

        def read(database: sqlite3.Connection) -> list[Session]:
            found = database.execute("select body from reviews where running = 1").fetchall()
            return [_SESSION.decode(body) for (body,) in found]

        return await self._run(read)

    async def _one(self, query: str, *given: str) -> Session | None:
        def read(database: sqlite3.Connection) -> Session | None:
            found = database.execute(query, given).fetchone()
            return None if found is None else _SESSION.decode(found[0])

        return await self._run(read)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await asyncio.wrap_future(self._store.run(work))
        except (sqlite3.Error, OSError, msgspec.DecodeError) as error:
            raise CannotKeep(f"the reviews cannot be read or written: {error}") from error
