"""What the chats remember, in three JSON files for each platform: written whole or not at all, and private."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

VERSION = 1
SEEN_S = 600.0
MOST_SEEN = 1000
T = TypeVar("T")

_log = logging.getLogger("brainrouter.bridge")


class StateRefused(Exception):
    """The state cannot be used; the text says why and what to do."""


class Session(msgspec.Struct, omit_defaults=True):
    """One conversation: omp's own session, when it began and was last used, and which messages were heard.

    `pending` are messages that were accepted and not answered yet: what is left there after a start was cut off.
    """

    session: str | None = None
    created: float = 0.0
    updated: float = 0.0
    seen: dict[str, float] = msgspec.field(default_factory=dict[str, float])
    pending: list[str] = msgspec.field(default_factory=list[str])

    def hear(self, message: str, now: float) -> bool:
        """Note a message; False when it was heard before: within SEEN_S, and among the last MOST_SEEN."""
        if message in self.seen:
            return False
        self.forget_old(now)
        if len(self.seen) >= MOST_SEEN:
            del self.seen[next(iter(self.seen))]
        self.seen[message] = now
        return True

    def forget_old(self, now: float) -> None:
        """Drop the messages that were heard too long ago to come again."""
        self.seen = {name: at for name, at in self.seen.items() if now - at < SEEN_S}

    def holds_nothing(self, now: float) -> bool:
        """Whether a new session would do as well."""
        return not (self.session or self.pending or self.seen or now - self.updated < SEEN_S)


class _File(msgspec.Struct, Generic[T]):
    version: int
    channels: dict[str, T]


class Table(Generic[T]):
    """One file. `rows` is the truth in memory; `keep` returns once it is on the disk.

    One write is under way and one waits, however many callers do: it takes in all that changed before it begins.
    """

    def __init__(self, path: Path, kind: Any) -> None:
        self._path = path
        self._decoder: msgspec.json.Decoder[_File[T]] = msgspec.json.Decoder(_File[kind])
        self._changed = False
        self._under_way: asyncio.Future[None] | None = None
        self._waiting: asyncio.Future[None] | None = None
        self.rows: dict[str, T] = {}

    def load(self) -> str | None:
        """Read the file. A broken one is put aside, and its new name given. Raises StateRefused."""
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateRefused(f"{self._path} cannot be read: {error.strerror}") from error
        try:
            if (version := msgspec.json.decode(raw, type=_Version).version) > VERSION:
                raise StateRefused(f"{self._path} was written by a newer brainrouter (format {version})")
            self.rows = self._decoder.decode(raw).channels
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            aside = self._path.with_name(f"{self._path.name}.broken-{time.time_ns()}")
            self._path.rename(aside)
            return aside.name
        return None

    async def keep(self, pool: ThreadPoolExecutor) -> None:
        """Until a write that began after this call is on the disk. Raises OSError when that write fails.

        Whoever stops waiting stops nobody's write.
        """
        self._changed = True
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
        kept = asyncio.shield(self._waiting)
        if self._under_way is None:
            self._begin(pool, self._waiting)
        await kept

    def finish(self) -> None:
        """Write what changed and is not on the disk. Only after the last write of the pool; raises OSError."""
        self._waiting = None
        if self._changed:
            write_whole(self._path, self._taken())

    def _begin(self, pool: ThreadPoolExecutor, kept: asyncio.Future[None]) -> None:
        self._waiting = None
        try:
            data = self._taken()
        except ValueError as error:  # a name that is no text
            kept.set_exception(error)
            return
        self._under_way = asyncio.get_running_loop().run_in_executor(pool, write_whole, self._path, data)
        self._under_way.add_done_callback(lambda written: self._ended(pool, kept, written))

    def _ended(
        self, pool: ThreadPoolExecutor, kept: asyncio.Future[None], written: asyncio.Future[None]
    ) -> None:
        self._under_way = None
        if (error := written.exception()) is not None:
            self._changed = True
            kept.set_exception(error)
        else:
            kept.set_result(None)
        if self._waiting is not None:
            self._begin(pool, self._waiting)

    def _taken(self) -> bytes:
        self._changed = False
        return msgspec.json.encode(_File(VERSION, self.rows))


class _Version(msgspec.Struct):
    version: int


class State:
    """The three files of one platform, and the lock that keeps a second bridge off them."""

    def __init__(self, folder: Path, platform: str) -> None:
        self._folder = folder
        self._platform = platform
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"{platform}-state")
        self._lock: int | None = None
        self._sessions: Table[Session] = Table(folder / f"{platform}-sessions.json", Session)
        self._models: Table[str] = Table(folder / f"{platform}-channel-models.json", str)
        self._folders: Table[str] = Table(folder / f"{platform}-work-dirs.json", str)
        self._tables: tuple[Table[Any], ...] = (self._sessions, self._models, self._folders)
        self._swept = 0.0

    def open(self) -> list[str]:
        """Take the lock and read the files; gives the new names of those that were broken. Raises StateRefused."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            self._lock = os.open(
                self._folder / f".{self._platform}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise StateRefused(f"another brainrouter already runs the {self._platform} bridge") from None
        except OSError as error:
            self.close()
            raise StateRefused(f"{self._folder} cannot be used: {error.strerror}") from error
        try:
            aside = [table.load() for table in self._tables]
        except OSError as error:
            self.close()
            raise StateRefused(f"{self._folder} cannot be used: {error.strerror}") from error
        except StateRefused:
            self.close()
            raise
        return [name for name in aside if name]

    def close(self) -> None:
        """Write what is not on the disk yet, and give the lock back. A file that cannot be written is logged."""
        self._pool.shutdown()
        for table in self._tables:
            try:
                table.finish()
            except (OSError, ValueError) as error:
                _log.warning("%s bridge: the last changes cannot be kept: %s", self._platform, error)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def session(self, channel: str) -> Session:
        """The channel's own session; a new one when there is none."""
        rows = self._sessions.rows
        if channel not in rows:
            rows[channel] = Session(created=time.time())
        return rows[channel]

    def sessions(self) -> dict[str, Session]:
        """All of them, by channel."""
        return self._sessions.rows

    async def keep_session(self, channel: str) -> None:
        """Put the channel's session on the disk as it is now. Raises OSError."""
        now = time.time()
        self.session(channel).updated = now
        self._sweep(now)
        await self._sessions.keep(self._pool)

    def _sweep(self, now: float) -> None:
        """Now and then: whoever came by and left nothing behind does not stay in the file for ever."""
        if abs(now - self._swept) < SEEN_S:
            return
        self._swept = now
        rows = self._sessions.rows
        for channel, session in list(rows.items()):
            session.forget_old(now)
            if session.holds_nothing(now):
                del rows[channel]

    def model(self, channel: str) -> str | None:
        """The model chosen for the channel."""
        return self._models.rows.get(channel)

    async def set_model(self, channel: str, model: str) -> None:
        self._models.rows[channel] = model
        await self._models.keep(self._pool)

    def folder(self, channel: str) -> str:
        """The channel's folder, relative to the work folder."""
        return self._folders.rows.get(channel, "")

    async def set_folder(self, channel: str, folder: str) -> None:
        self._folders.rows[channel] = folder
        await self._folders.keep(self._pool)

    def omp_folder(self, channel: str) -> Path:
        """Where omp keeps this channel's history: a name made from the channel's, since ids may hold anything."""
        name = hashlib.sha256(f"{self._platform}:{channel}".encode()).hexdigest()[:16]
        return self._folder / "omp-sessions" / f"{self._platform}-{name}"


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` in the file's place, durably, for its owner only; a crash leaves the old or the new content."""
    new = path.with_name(f".{path.name}.new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o600)
            os.fsync(file.fileno())
        os.replace(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
