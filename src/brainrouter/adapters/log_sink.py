"""Where log lines go: to stderr, by a thread of its own, so that who logs never waits for a pipe that nobody reads."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import deque

LINES_MAX = 10_000


class LogSink:
    """Lines to a descriptor. `write` never blocks and never raises; what finds no room is counted, and told later."""

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._waiting: deque[str | bytes | threading.Event] = deque()
        self._wake = threading.Event()
        self._dropped = 0
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def write(self, text: str | bytes) -> None:
        """Hand over whole lines."""
        if len(self._waiting) >= LINES_MAX:
            self._dropped += 1
            return
        if self._dropped:
            self._waiting.append(f"(the log was not read: {self._dropped} entries are missing here)\n")
            self._dropped = 0
        self._waiting.append(text)
        self._wake.set()

    def finish(self, within_s: float = 1.0) -> None:
        """Wait until all that was handed over is written, at most so long."""
        written = threading.Event()
        self._waiting.append(written)
        self._wake.set()
        written.wait(within_s)

    def _run(self) -> None:
        while self._wake.wait():
            self._wake.clear()
            while self._waiting:
                item = self._waiting.popleft()
                if isinstance(item, threading.Event):
                    item.set()
                else:
                    self._say(item if isinstance(item, bytes) else item.encode("utf-8", "backslashreplace"))

    def _say(self, data: bytes) -> None:
        # Past Python's own stream: its lock would be held for as long as nobody reads, also against our end.
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._descriptor, data) :]


def keep_standard_streams() -> None:
    """Fill descriptors 0 to 2 where they are closed: a socket or a database there would be written over by a print."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def leave_standard_streams() -> None:
    """Say the rest of what is buffered, or let it go: an end must not count as a failure since nobody listened."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
