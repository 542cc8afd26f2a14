"""The durable memory: SQLite in WAL mode, written by one thread of its own. The hot path never waits for it."""

from __future__ import annotations

import contextlib
import logging
import queue
import sqlite3
import threading
import time
from pathlib import Path

import msgspec

from brainrouter.wire.event import RoutingEvent

SCHEMA_VERSION = 1
QUEUE_MAX = 10_000
BATCH_MAX = 500
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
    """Keeps routing events for 30 days. `add` never blocks and never raises; what could not be kept is counted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost = 0
        self.problem: str | None = None
        self._queue: queue.Queue[RoutingEvent | None] = queue.Queue(QUEUE_MAX)
        self._thread = threading.Thread(target=self._write, name="store", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def add(self, event: RoutingEvent) -> None:
        """Hand an event over to be kept."""
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self.lost += 1

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is waiting, then stop."""
        if not self._thread.is_alive():
            return
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=timeout_s)
        self._thread.join(timeout_s)

    def _write(self) -> None:
        database: sqlite3.Connection | None = None
        while True:
            batch, over = self._batch()
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
            if over:
                _close(database)
                return

    def _batch(self) -> tuple[list[RoutingEvent], bool]:
        batch: list[RoutingEvent] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) >= BATCH_MAX:
                return batch, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True


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
