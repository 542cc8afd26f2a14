"""A signal-cli daemon of our own, for `bridge.signal.spawn`: one child, ended with the bridge."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

from brainrouter.bridge.port import CannotStart

TERM_GRACE_S = 5.0
PASSED_ON = ("HOME", "JAVA_HOME", "LANG", "PATH", "TMPDIR", "XDG_DATA_HOME", "XDG_RUNTIME_DIR")


def command(account: str, storage: str | None, socket_path: Path) -> list[str]:
    """How it is started: messages wait until somebody listens."""
    place = ["-d", os.path.expanduser(storage)] if storage else []
    return [
        "signal-cli", *place, "-a", account, "daemon", "--socket", str(socket_path), "--receive-mode", "manual",
    ]  # fmt: skip


@contextlib.asynccontextmanager
async def spawned(argv: list[str], socket_path: Path, env: Mapping[str, str]) -> AsyncGenerator[None]:
    """It runs while the block does. Raises CannotStart when there is no signal-cli."""
    _clear(socket_path)
    nothing = asyncio.subprocess.DEVNULL
    kept = {name: env[name] for name in PASSED_ON if name in env}
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=nothing, stdout=nothing, stderr=nothing, env=kept, start_new_session=True
        )
    except OSError as error:
        raise CannotStart(
            f"signal-cli cannot be started ({error.strerror}); install it, or set spawn: false"
        ) from error
    try:
        yield
    finally:
        await _end(process)


def _clear(socket_path: Path) -> None:
    socket_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    socket_path.unlink(missing_ok=True)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(TERM_GRACE_S):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
