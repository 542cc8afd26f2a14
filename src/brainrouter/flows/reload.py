"""Reads the configuration again: when it is asked to, and when a file of it has changed. A bad one replaces nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from brainrouter.adapters.file_marks import Marks, marks
from brainrouter.config import ConfigError, Loaded
from brainrouter.wire.prompt_text import masked

EVERY_S = 1.0
REST_S = 0.2  # between two readings: a storm of signals must not slow the requests

_log = logging.getLogger("brainrouter.config")


class Reload:
    """`read` reads the files, `files` says which to watch, `put_in_force` gives the keys that wait for the next start.

    A file that is being written is not read before it has stayed as it is for a moment; `soon` does not wait.
    """

    def __init__(
        self,
        read: Callable[[], Loaded],
        files: Callable[[], Iterable[Path]],
        put_in_force: Callable[[Loaded], list[str]],
    ) -> None:
        self._read = read
        self._files = files
        self._put_in_force = put_in_force
        self._asked = asyncio.Event()
        self._read_at = time.time()
        self._error: str | None = None
        self._waiting: list[str] = []

    def soon(self) -> None:
        """Read the files now, whether they have changed or not."""
        self._asked.set()

    def status(self) -> dict[str, Any]:
        """How the configuration is, for /health."""
        return {
            "state": "ok" if self._error is None else "refused",
            "error": self._error,
            "read_at": self._read_at,
            "next_start": self._waiting,
        }

    async def run(self) -> None:
        """Watch for ever; cancel to end. The first look counts as a change, which may have come since the start."""
        known: Marks | None = None
        last: Marks | None = None
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._asked.wait()
            asked = self._asked.is_set()
            self._asked.clear()
            now = await asyncio.to_thread(lambda: marks(self._files()))
            if asked or (now != known and now == last):
                await self._again()
                known = now
                await asyncio.sleep(REST_S)
            last = now

    async def _again(self) -> None:
        try:
            loaded = await asyncio.to_thread(self._read)
            self._waiting = self._put_in_force(loaded)
        except ConfigError as error:
            self._refused(str(error))
        except Exception as error:
            _log.exception("a configuration could not be put in force")
            self._refused(f"it could not be put in force: {type(error).__name__}: {error}")
        else:
            if self._error is not None:
                _log.info("the configuration is good again")
            self._error = None
            self._read_at = time.time()

    def _refused(self, why: str) -> None:
        why = masked(why)
        if why != self._error:
            _log.error("configuration refused, the one before stays in force: %s", why)
        self._error = why
