"""A signal-cli daemon of our own, for `bridge.signal.spawn`: one child, ended with the bridge."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

from brainrouter.bridge.port import CannotStart
from brainrouter.bridge.process_group import end

STDERR_BYTES = 4096
PASSED_ON = ("HOME", "JAVA_HOME", "LANG", "PATH", "TMPDIR", "XDG_DATA_HOME", "XDG_RUNTIME_DIR")


class Spawned:
    """The child, and the last it wrote to stderr."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._said = bytearray()

    def check(self) -> None:
        """Raises CannotStart when it ended for want of an account, ConnectionError when it ended otherwise."""
        code = self._process.returncode
        if code is None:
            return
        lines = self._said.decode("utf-8", "replace").strip().splitlines()
        last = lines[-1][:200] if lines else "it said nothing"
        if "is not registered" in last:
            raise CannotStart(f"signal-cli says: {last} Register or link it first, see docs/bridges.md")
        raise ConnectionError(f"signal-cli ended (exit code {code}): {last}")

    async def overhear(self) -> None:
        """Read stderr to its end, so that a full pipe never stops the child."""
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(1 << 14):
            self._said += data
            del self._said[:-STDERR_BYTES]


def command(account: str, storage: str | None, socket_path: Path) -> list[str]:
    """How it is started: messages wait until somebody listens.

    signal-cli wants the folder above its `data`; `storage` may be either.
    """
    place: list[str] = []
    if storage:
        folder = Path(os.path.expanduser(storage))
        holds_accounts = folder.name == "data" and (folder / "accounts.json").is_file()
        place = ["--config", str(folder.parent if holds_accounts else folder)]
    return [
        "signal-cli", *place, "-a", account, "daemon", "--socket", str(socket_path), "--receive-mode", "manual",
    ]  # fmt: skip


@contextlib.asynccontextmanager
async def spawned(argv: list[str], socket_path: Path, env: Mapping[str, str]) -> AsyncGenerator[Spawned]:
    """It runs while the block does. Raises CannotStart when there is no signal-cli."""
    _clear(socket_path)
    nothing = asyncio.subprocess.DEVNULL
    kept = {name: env[name] for name in PASSED_ON if name in env}
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=nothing,
            stdout=nothing,
            stderr=asyncio.subprocess.PIPE,
            env=kept,
            start_new_session=True,
        )
    except OSError as error:
        raise CannotStart(
            f"signal-cli cannot be started ({error.strerror}); install it, or set spawn: false"
        ) from error
    child = Spawned(process)
    async with asyncio.TaskGroup() as group:
        hearing = group.create_task(child.overhear())
        try:
            yield child
        finally:
            await end(process)
            hearing.cancel()


def _clear(socket_path: Path) -> None:
    socket_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    socket_path.unlink(missing_ok=True)
