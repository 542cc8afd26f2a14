"""The durable memory: SQLite in WAL mode, written by one thread of its own. The hot path never waits for it."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from brainrouter.wire.event import RoutingEvent

SCHEMA_VERSION = 2
WAITING_MAX = 10_000
JOBS_MAX = 1_000
KEPT_DAYS = 30
PRUNE_EVERY_S = 3600.0
# They are encoded in one call, which holds the interpreter's lock: some half a millisecond.
EVENTS_A_ROW = 500

_SCHEMA = """
-- What versions before `batches` wrote, and write again after a way back: read and pruned, never written here.
create table if not exists events (
  time real not null, id integer not null, decision text, reason text not null, stage text not null, model text,
  provider text, fallback text, status integer, error text, total_ms real, body blob not null
);
create index if not exists events_time on events (time);
-- `body` is a JSON array of `count` events, `time` the latest of theirs. The index alone says which hold the newest.
create table if not exists batches (time real not null, count integer not null, body blob not null);
create index if not exists batches_time on batches (time, count);
create table if not exists reviews (
  id text primary key, task_id text not null, cwd text not null, status text not null, running integer not null,
  created real not null, updated real not null, row blob not null, body blob not null
);
create index if not exists reviews_updated on reviews (updated);
create index if not exists reviews_task on reviews (task_id, cwd, created);
"""

_INSERT = "insert into batches values (?,?,?)"

T = TypeVar("T")

_log = logging.getLogger("brainrouter.store")


class Job(Generic[T]):
    """Work for the writer's thread, done in a transaction of its own: `future` is done once that is committed."""

    def __init__(self, work: Callable[[sqlite3.Connection], T]) -> None:
        self._work = work
        self.future: Future[T] = Future()

    def do(self, database: sqlite3.Connection) -> None:
        """Do it; what goes wrong goes into the future, and up to the caller."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            database.execute("begin immediate")
            result = self._work(database)
            database.execute("commit")
        except Exception as error:
            self.future.set_exception(error)
            raise
        self.future.set_result(result)

    def fail(self, error: Exception) -> None:
        """It will not be done."""
        if not self.future.done():
            self.future.set_exception(error)


class EventStore:
    """Keeps routing events for 30 days. `add` never blocks and never raises; what could not be kept is counted.

    An event is on disk a moment after `add`. The caller gathers: waking a thread costs more than a request.
    `run` is for what must be known to be kept: the reviews.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost = 0
        self.problem: str | None = None
        self._unsaid = False
        self._waiting: deque[RoutingEvent] = deque()
        self._jobs: deque[Job[Any]] = deque()
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

    def run(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Do `work` on the database in one transaction; what the future gives back survives the process."""
        job = Job(work)
        if self._over or len(self._jobs) >= JOBS_MAX:
            job.fail(
                sqlite3.OperationalError("the database is closed" if self._over else "too much waits for it")
            )
            return job.future
        self._jobs.append(job)
        self._wake.set()
        return job.future

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is waiting, then stop."""
        self._over = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _write(self) -> None:
        database: sqlite3.Connection | None = None
        pruned = time.monotonic()
        while not self._over or self._waiting or self._jobs:
            self._wake.wait()
            self._wake.clear()
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            jobs = [self._jobs.popleft() for _ in range(len(self._jobs))]
            try:
                database = database or _open(self.path)
                self._unsayable(_insert(database, batch))
                batch = []
                for job in jobs:
                    job.do(database)
                if time.monotonic() - pruned > PRUNE_EVERY_S:
                    _prune(database)
                    pruned = time.monotonic()
                self.problem = None
            except Exception as error:  # whatever it is, this thread must go on
                self._trouble(error, len(batch), jobs)
                _close(database)
                database = None
                if is_damage(error):
                    _lay_aside(self.path)
        _close(database)

    def _trouble(self, error: Exception, lost: int, jobs: list[Job[Any]]) -> None:
        self.lost += lost
        for job in jobs:
            job.fail(error)
        if self.problem is None:
            _log.warning("the database cannot be used: %s", error)
        self.problem = str(error)

    def _unsayable(self, errors: list[Exception]) -> None:
        """Some events of a batch could not be written as JSON: said once, since there may be one in each batch."""
        self.lost += len(errors)
        if errors and not self._unsaid:
            self._unsaid = True
            _log.warning("an event cannot be kept: %s; others like it are only counted", errors[0])


def is_damage(error: Exception) -> bool:
    """Whether an error says that the file itself is bad, and not that it is locked, full or newer than we are."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(
        error, sqlite3.OperationalError | sqlite3.IntegrityError | sqlite3.ProgrammingError
    )


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return _prepared(path)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        _lay_aside(path)
        return _prepared(path)


def _lay_aside(path: Path) -> None:
    """Move a damaged database away, with its journal: never deleted, since somebody may want to look."""
    aside = path.with_name(f"{path.name}.broken-{int(time.time())}")
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    _log.warning("the database was damaged; it now lies at %s and a new one was begun", aside)


def _prepared(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    try:
        path.chmod(0o600)
        database.execute("pragma journal_mode=wal")
        database.execute("pragma synchronous=normal")
        (version,) = database.execute("pragma user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise sqlite3.OperationalError(f"{path} was written by a newer brainrouter (schema {version})")
        database.executescript(_SCHEMA)
        database.execute(f"pragma user_version={SCHEMA_VERSION}")
        _prune(database)
    except BaseException:
        database.close()
        raise
    return database


def _prune(database: sqlite3.Connection) -> None:
    oldest = time.time() - KEPT_DAYS * 86_400
    database.execute("delete from events where time < ?", (oldest,))
    database.execute("delete from batches where time < ?", (oldest,))
    database.execute("delete from reviews where updated < ?", (oldest,))


def _insert(database: sqlite3.Connection, events: list[RoutingEvent]) -> list[Exception]:
    """Write events in one transaction; what was wrong with those that no JSON can be made of, and that are left out."""
    errors: list[Exception] = []
    if not events:
        return errors
    database.execute("begin immediate")
    for at in range(0, len(events), EVENTS_A_ROW):
        some = events[at : at + EVENTS_A_ROW]
        try:
            body = msgspec.json.encode(some)
        except Exception:
            some, wrong = _parted(some)
            errors += wrong
            body = msgspec.json.encode(some)
        if some:
            database.execute(_INSERT, (max([event.time for event in some]), len(some), body))
    database.execute("commit")
    return errors


def _parted(events: list[RoutingEvent]) -> tuple[list[RoutingEvent], list[Exception]]:
    """The events that JSON can be made of, and what is wrong with the others."""
    good: list[RoutingEvent] = []
    errors: list[Exception] = []
    for event in events:
        try:
            msgspec.json.encode(event)
            good.append(event)
        except Exception as error:
            errors.append(error)
    return good, errors


def _close(database: sqlite3.Connection | None) -> None:
    if database is not None:
        with contextlib.suppress(sqlite3.Error):
            database.close()
