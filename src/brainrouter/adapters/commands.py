"""Runs one command of another program: an argument list, never a shell, with a deadline and a clean environment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from brainrouter.adapters.child_process import end_group

KEPT_BYTES = 256 * 1024
LINE_CHARS = 400
# What systemd, Docker and the toolbox need to find their way; nothing with a key in it.
_PASSED = (
    "PATH", "HOME", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME",
    "DBUS_SESSION_BUS_ADDRESS", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG",
)  # fmt: skip
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended. `code` is None when it could not be started or was not done in time."""

    code: int | None
    output: str

    @property
    def ok(self) -> bool:
        return self.code == 0


async def run(
    argv: Sequence[str], deadline_s: float, say: Say | None = None, env: Mapping[str, str] = os.environ
) -> Done:
    """Run `argv` to its end; `say` hears each line as it comes. Never raises for what the command does."""
    kept = {name: env[name] for name in _PASSED if name in env} | {"LC_ALL": "C.UTF-8"}
    try:
        child = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=kept,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        return Done(None, f"{argv[0]}: {error.strerror}")
    lines: list[str] = []
    try:
        async with asyncio.timeout(deadline_s):
            await _read(child, lines, say)
            return Done(await child.wait(), "\n".join(lines))
    except TimeoutError:
        return Done(None, f"{argv[0]} was not done within {deadline_s:g} s")
    finally:
        await end_group(child)


async def _read(child: asyncio.subprocess.Process, lines: list[str], say: Say | None) -> None:
    assert child.stdout is not None
    held, kept = b"", 0
    while piece := await child.stdout.read(8192):
        *whole, held = (held + piece).replace(b"\r", b"\n").split(b"\n")
        held = held[-KEPT_BYTES:]
        for raw in whole:
            kept = _take(raw, lines, kept, say)
    if held:
        _take(held, lines, kept, say)


def _take(raw: bytes, lines: list[str], kept: int, say: Say | None) -> int:
    line = raw.decode("utf-8", "replace").rstrip()
    if line and say is not None:
        say(line[:LINE_CHARS])
    if kept < KEPT_BYTES:
        lines.append(line)
    return kept + len(raw)
