"""What every child process of the daemon needs: a free port, a death that follows its parent's, a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

PR_SET_PDEATHSIG = 1
POLL_S = 0.25
EXIT_POLL_S = 0.02
TERM_GRACE_S = 5.0
OUR_WORDS = "brainrouter: "
# Below every system's ephemeral range: an outgoing connection must not take the port before the child listens on it.
PORTS = range(21_000, 32_000)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    for _ in range(200):
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    msg = "no free TCP port on 127.0.0.1"
    raise OSError(msg)


def die_with_parent(parent: int, number: signal.Signals | None = signal.SIGKILL) -> None:
    """End this process when its parent `parent` is gone, also after the parent's SIGKILL.

    On Linux the kernel sends `number` at once. None leaves that out, for a child of llama-swap: the signal follows
    the parent's *thread*, and Go may end the thread that forked. The watch on the parent's pid works everywhere, a
    quarter of a second later.
    """
    if number is not None and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
    threading.Thread(target=_watch, args=(parent,), name="parent-watch", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_S)
    os.kill(os.getpid(), signal.SIGTERM)  # for one that has something to clear away
    time.sleep(TERM_GRACE_S)
    os._exit(1)


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send `number` to the process group that `pid` leads; a group that is gone is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


async def end_group(process: asyncio.subprocess.Process, grace_s: float = TERM_GRACE_S) -> bool:
    """End `process` (a group leader) and its group: politely first, surely after `grace_s`.

    True when it is reaped. False when not even SIGKILL ended it within `grace_s` more, as with a program that a dead
    disk holds; nobody waits for that. Cancelling shortens the grace and leaves nothing out.
    """
    try:
        if process.returncode is None:
            signal_group(process.pid, signal.SIGTERM)
            await _reaped(process, grace_s)
    finally:
        signal_group(process.pid, signal.SIGKILL)
    return await _reaped(process, grace_s)


async def kill_group(process: asyncio.subprocess.Process, within_s: float = TERM_GRACE_S) -> bool:
    """End `process` (a group leader) and its group at once; whether it was reaped in time."""
    signal_group(process.pid, signal.SIGKILL)
    return await _reaped(process, within_s)


async def _reaped(process: asyncio.subprocess.Process, within_s: float) -> bool:
    """Whether it ended in time. asyncio's own `wait` would wait for whoever inherited the pipes, too."""
    until = time.monotonic() + within_s
    while process.returncode is None:
        if time.monotonic() > until:
            return False
        await asyncio.sleep(EXIT_POLL_S)
    return True


@contextlib.contextmanager
def run_folder(parent: Path) -> Generator[Path]:
    """A private folder (0700) for one life of a child; those that a killed daemon left behind are removed too."""
    for left in parent.glob("run-*-*"):
        owner = left.name.split("-")[1]
        if owner.isdecimal() and not _is_alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"run-{os.getpid()}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def last_line(log: Path) -> str:
    """What a child wrote to `log` last, cut to what fits a status; a line of our own goes before native chatter."""
    with contextlib.suppress(OSError):
        lines = log.read_bytes()[-4000:].decode("utf-8", "replace").strip().splitlines()
        ours = [line.removeprefix(OUR_WORDS) for line in lines if line.startswith(OUR_WORDS)]
        if ours or lines:
            return (ours or lines)[-1][:300]
    return "it said nothing"


def how_it_ended(returncode: int | None) -> str:
    """The return code in words: "signal SIGSEGV" or "exit code 3"."""
    if returncode is None:
        return "still running"
    if returncode >= 0:
        return f"exit code {returncode}"
    with contextlib.suppress(ValueError):
        return f"signal {signal.Signals(-returncode).name}"
    return f"signal {-returncode}"


class Strikes:
    """Counts crashes: `struck()` says how long to wait before the next try, or None when it is time to give up."""

    def __init__(self, limit: int, window_s: float, first_wait_s: float, clock: Callable[[], float]) -> None:
        self._limit, self._window_s, self._first_wait_s, self._clock = limit, window_s, first_wait_s, clock
        self._times: list[float] = []

    def struck(self) -> float | None:
        now = self._clock()
        self._times = [*(t for t in self._times if now - t < self._window_s), now]
        if len(self._times) >= self._limit:
            return None
        return self._first_wait_s * 2 ** (len(self._times) - 1)

    def forget(self) -> None:
        self._times.clear()
