"""Children end when they are told to, whatever they left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

import pytest

from brainrouter.adapters import child_process
from brainrouter.adapters.child_process import end_group, kill_group
from tests.daemon import eventually, gone

# Ends at once, and leaves a child in a group of its own that keeps the pipe open.
ESCAPES = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    print(os.getpid(), flush=True)
    time.sleep(300)
"""
STUBBORN = """
import signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(subprocess.Popen(["sleep", "300"]).pid, flush=True)
time.sleep(300)
"""


async def started(program: str) -> tuple[asyncio.subprocess.Process, int]:
    """The child, and the pid of what it started."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert child.stdout is not None
    return child, int(await child.stdout.readline())


async def closed(child: asyncio.subprocess.Process) -> None:
    """Until nobody holds its pipe any more, so that asyncio lets go of it, too."""
    assert child.stdout is not None
    await child.stdout.read()
    for _ in range(3):  # the turns of the loop that its transport takes to close
        await asyncio.sleep(0)


@pytest.mark.parametrize("end", [end_group, kill_group])
def test_who_left_the_group_with_the_pipe_in_hand_is_not_waited_for(end: object) -> None:
    async def ends() -> None:
        child, escaped = await started(ESCAPES)
        try:
            async with asyncio.timeout(20):  # it sleeps for five minutes
                assert await end(child)  # type: ignore[operator]
            assert child.returncode is not None
        finally:
            os.kill(escaped, signal.SIGKILL)
            await closed(child)

    asyncio.run(ends())


def test_who_ignores_the_polite_way_is_ended_with_all_that_it_started() -> None:
    async def ends() -> tuple[int | None, int]:
        child, inner = await started(STUBBORN)
        assert await end_group(child, grace_s=0.3)
        await closed(child)
        return child.returncode, inner

    code, inner = asyncio.run(ends())
    assert code == -signal.SIGKILL
    eventually(lambda: gone(inner))


def test_a_cancelled_end_still_ends_the_group() -> None:
    async def ends() -> int:
        child, inner = await started(STUBBORN)
        ending = asyncio.create_task(end_group(child, grace_s=60))
        while not ending.done():
            await asyncio.sleep(0.05)
            ending.cancel()
        await closed(child)
        return inner

    inner = asyncio.run(ends())
    eventually(lambda: gone(inner))


def test_who_cannot_be_killed_is_left_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ends() -> None:
        child, _ = await started(STUBBORN)
        # What a process in an uninterruptible sleep looks like from here: no signal reaches it.
        with monkeypatch.context() as deaf:
            deaf.setattr(child_process, "signal_group", lambda pid, number: None)
            begun = time.monotonic()
            assert not await end_group(child, grace_s=0.1)
            assert time.monotonic() - begun < 20
        assert await kill_group(child)
        await closed(child)

    asyncio.run(ends())
