"""A child that leads a process group, and its end: politely, then surely, with everything it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time

TERM_GRACE_S = 5.0
KILL_GRACE_S = 5.0
POLL_S = 0.02


async def end(process: asyncio.subprocess.Process) -> None:
    """End the group. Goes through to its end also when it is cancelled meanwhile.

    A program that not even SIGKILL ends within five seconds, as when a dead disk holds it, is not waited for.
    """
    if process.returncode is None:
        signal_group(process.pid, signal.SIGTERM)
        try:
            await ended(process, TERM_GRACE_S)
        finally:
            signal_group(process.pid, signal.SIGKILL)
        await ended(process, KILL_GRACE_S)
    signal_group(process.pid, signal.SIGKILL)


async def ended(process: asyncio.subprocess.Process, within_s: float | None = None) -> None:
    """Until it has ended, or for so long. asyncio's `wait` waits for whoever inherited its pipes, too."""
    until = None if within_s is None else time.monotonic() + within_s
    while process.returncode is None and (until is None or time.monotonic() < until):
        await asyncio.sleep(POLL_S)


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send `number` to the group that `pid` leads; a group that is gone is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
