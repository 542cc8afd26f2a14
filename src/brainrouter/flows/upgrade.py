"""Restarting and upgrading services: one thing at a time for each, every step told, nothing by a shell."""

from __future__ import annotations

import asyncio
import platform
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brainrouter.adapters.binary_swap import NotReplaced, replaced, unpacked
from brainrouter.adapters.commands import Done, Say
from brainrouter.adapters.release_source import ReleaseSource, SourceUnavailable
from brainrouter.adapters.service_probe import ServiceProbe
from brainrouter.flows.versions import Versions
from brainrouter.policy.release_asset import NoAsset, asset_for, checksum_of
from brainrouter.policy.service_plan import NAMES, Way
from brainrouter.policy.version import swap_version

BETWEEN_S = 10.0  # two actions on one service
STEP_S = 900.0  # pulling an image of several gigabytes
STEPS_KEPT = 200
KEPT = 8
Run = Callable[[Sequence[str], float, Say], Awaitable[Done]]


class Refused(Exception):
    """Why an action is not begun; `status` is HTTP's word for it, `way` what somebody else could do."""

    def __init__(self, status: int, message: str, way: Way | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.way = way


@dataclass(slots=True)
class Operation:
    """One action, from its start to its result. `state` is running, done or failed."""

    id: int
    action: str
    service: str
    started: float
    state: str = "running"
    message: str = ""
    steps: deque[str] = field(default_factory=lambda: deque[str](maxlen=STEPS_KEPT))


class _Failed(Exception):
    """A step that did not work, in words for the person."""


class Operations:
    """`start` begins an action that goes on by itself; `view` says how all of them are."""

    def __init__(
        self,
        versions: Versions,
        probe: ServiceProbe,
        source: ReleaseSource | None,
        run: Run,
        restart_self: Callable[[], None],
        changed: Callable[[], None],
    ) -> None:
        self._versions = versions
        self._probe = probe
        self._source = source
        self._run = run
        self._restart_self = restart_self
        self._changed = changed
        self._operations: deque[Operation] = deque(maxlen=KEPT)
        self._last: dict[str, float] = {}
        self._next = 1
        self._queue: asyncio.Queue[tuple[Operation, Way]] = asyncio.Queue()

    def view(self) -> dict[str, dict[str, Any]]:
        """The latest actions by id, the newest first."""
        return {str(one.id): _shown(one) for one in reversed(self._operations)}

    async def start(self, action: str, service: str) -> dict[str, Any]:
        """Begin. Raises Refused when that is not possible, not allowed, or too soon after the last time."""
        if not self._versions.upgrades:
            await self._versions.look_at_ways()
        ways = self._versions.restarts if action == "restart" else self._versions.upgrades
        way = ways[service]
        if not way.allowed:
            raise Refused(409, way.detail, way)
        if any(one.service == service and one.state == "running" for one in self._operations):
            raise Refused(409, f"{NAMES[service]} is being worked on already")
        now = time.monotonic()
        if now - self._last.get(service, -BETWEEN_S) < BETWEEN_S:
            raise Refused(429, f"{NAMES[service]} was worked on less than {BETWEEN_S:g} s ago")
        self._last[service] = now
        operation = Operation(self._next, action, service, time.time())
        self._next += 1
        self._operations.append(operation)
        self._queue.put_nowait((operation, way))
        self._changed()
        return _shown(operation)

    async def run(self) -> None:
        """Do what was begun, one after the other; cancel to end."""
        while True:
            operation, way = await self._queue.get()
            try:
                await self._do(operation, way)
                operation.state, operation.message = (
                    "done",
                    f"{NAMES[operation.service]} {_PAST[operation.action]}.",
                )
            except _Failed as failed:
                operation.state, operation.message = "failed", str(failed)
            self._versions.forget()
            self._changed()

    async def _do(self, operation: Operation, way: Way) -> None:
        if way.kind == "self":
            self._say(operation, "ending, to start again in the same place")
            self._restart_self()
            return
        if way.kind == "binary":
            await self._replace_llama_swap(operation)
        for step in way.steps:
            await self._step(operation, step)

    async def _step(self, operation: Operation, argv: Sequence[str]) -> None:
        self._say(operation, "$ " + " ".join(argv))
        done = await self._run(argv, STEP_S, lambda line: self._say(operation, line))
        if not done.ok:
            last = done.output.strip().splitlines()[-1:] or ["it said nothing"]
            how = "" if done.code is None else f" (exit code {done.code})"
            raise _Failed(f"{argv[0]} failed{how}: {last[0][:300]}")

    async def _replace_llama_swap(self, operation: Operation) -> None:
        """From the release's archive, checked by the publisher's list; the old program stays when anything is odd."""
        source, program = self._source, Path(self._versions.founds["llama-swap itself"].path)
        if source is None:
            raise _Failed("looking for updates is switched off by ops.check_updates")
        try:
            asset = asset_for(await source.llama_swap(), platform.system(), platform.machine())
            self._say(operation, f"downloading {asset.name}")
            wanted = checksum_of(asset.name, await source.text(asset.sums_url))
            with tempfile.TemporaryDirectory(prefix=".llama-swap-", dir=program.parent) as folder:
                archive, new = Path(folder) / "archive.tar.gz", Path(folder) / "llama-swap"
                if await source.fetch(asset.url, archive) != wanted:
                    raise _Failed("the archive is not the one that its publisher made: the checksum differs")
                self._say(operation, f"the checksum is the publisher's: {wanted}")
                await asyncio.to_thread(unpacked, archive, new)
                await replaced(program, new, self._works)
        except (SourceUnavailable, NoAsset, NotReplaced, OSError) as error:
            raise _Failed(str(error)) from error
        self._say(operation, f"{program} is replaced; the old one is {program.name}.previous beside it")

    async def _works(self, program: Path) -> bool:
        return swap_version(await self._probe.llama_swap(str(program))) is not None

    def _say(self, operation: Operation, line: str) -> None:
        operation.steps.append(line)
        self._changed()


_PAST = {"restart": "was restarted", "upgrade": "was upgraded"}


def _shown(operation: Operation) -> dict[str, Any]:
    return {
        "id": operation.id,
        "action": operation.action,
        "service": operation.service,
        "started": operation.started,
        "state": operation.state,
        "message": operation.message,
        "steps": list(operation.steps),
    }
