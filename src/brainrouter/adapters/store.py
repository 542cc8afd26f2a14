"""The durable memory: SQLite in WAL mode, written by one thread of its own. The hot path never waits for it."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections import deque
from pathlib import Path

import msgspec

from brainrouter.wire.event import RoutingEvent

SCHEMA_VERSION = 1
WAITING_MAX = 10_000
KEPT_DAYS = 30

_SCHEMA = """
create table if not exists events (
  time real not null, id integer not null, decision text, reason text not null, stage text not null, model text,
  provider text, fallback text, status integer, error text, total_ms real, body blob not null
);
create index if not exists events_time on events (time);
"""

_log = logging.getLogger("brainrouter.store")


class EventStore:
    """Keeps routing events for 30 days. `add` never blocks and never raises; what could not be kept is counted.

    An event is on disk a moment after `add`. The caller gathers: waking a thread costs more than a request.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost = 0
        self.problem: str | None = None
        self._waiting: deque[RoutingEvent] = deque()
        self._wake = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._write, name="store", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def add(self, events: list[RoutingEvent]) -> None:
        """Hand events over to be kept."""
        if len(self._waiting) + len(events) > WAITING_MAX:
            self.lost += len(events)
            return
        self._waiting.extend(events)
        self._wake.set()

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is waiting, then stop."""
        self._over = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _write(self) -> None:
        database: sqlite3.Connection | None = None
        while not self._over or self._waiting:
            self._wake.wait()
            self._wake.clear()
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            try:
                database = database or _open(self.path)
                _insert(database, batch)
                self.problem = None
            except (sqlite3.Error, OSError) as error:
                self.lost += len(batch)
                if self.problem is None:
                    _log.warning("events are not being kept: %s", error)
                self.problem = str(error)
                _close(database)
                database = None
        _close(database)


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return _prepared(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        aside = path.with_name(f"{path.name}.broken-{int(time.time())}")
        path.rename(aside)
        _log.warning("the database was damaged; it now lies at %s and a new one was begun", aside)
        return _prepared(path)


def _prepared(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    path.chmod(0o600)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=normal")
    (version,) = database.execute("pragma user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise sqlite3.OperationalError(f"{path} was written by a newer brainrouter (schema {version})")
    database.executescript(_SCHEMA)
    database.execute(f"pragma user_version={SCHEMA_VERSION}")
    database.execute("delete from events where time < ?", (time.time() - KEPT_DAYS * 86_400,))
    return database


def _insert(database: sqlite3.Connection, batch: list[RoutingEvent]) -> None:
    if not batch:
        return
    database.execute("begin immediate")
    database.executemany(
        "insert into events values (?,?,?,?,?,?,?,?,?,?,?,?)", [_row(event) for event in batch]
    )
    database.execute("commit")


def _row(event: RoutingEvent) -> tuple[object, ...]:
    return (
        event.time, event.id, event.decision, event.reason, event.stage, event.model, event.provider, event.fallback,
        event.status, event.error, event.total_ms, msgspec.json.encode(event),
    )  # fmt: skip


def _close(database: sqlite3.Connection | None) -> None:
    if database is not None:
        with contextlib.suppress(sqlite3.Error):
            database.close()
