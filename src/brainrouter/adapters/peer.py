"""Who is calling: the process behind a connection, and its folder. A label for the eye, never an authority."""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from pathlib import Path

from brainrouter.adapters.inet_diag import owner

_UCRED = struct.Struct("iii")
RECENT = 8


def unix_pid(connection: socket.socket) -> int | None:
    """The pid at the other end of a Unix socket (SO_PEERCRED), or None where the system does not say."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    try:
        return _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _UCRED.size))[0] or None
    except OSError:
        return None


class TcpPeers:
    """Finds the process at the client's end of a loopback connection. Use from one thread.

    A whole look through /proc takes milliseconds, so the processes that called lately are looked at first: a harness
    opens many connections.
    """

    def __init__(self) -> None:
        self._recent: deque[int] = deque(maxlen=RECENT)

    def pid(self, host: str, port: int, local_host: str, local_port: int) -> int | None:
        """The pid that holds `host:port`, connected to our `local_host:local_port`; None when it cannot be seen."""
        found = owner(host, port, local_host, local_port)
        if found is None:
            return None
        wanted = f"socket:[{found.inode}]"
        for pid in [*self._recent, *_numbers(Path("/proc"))]:
            if _holds(pid, wanted):
                if pid not in self._recent:
                    self._recent.appendleft(pid)
                return pid
        return None


def same_user(host: str, port: int, local_host: str, local_port: int) -> bool:
    """Whether the other end of a TCP connection is ours or root's. Where the system does not say, it counts as ours."""
    found = owner(host, port, local_host, local_port)
    return found is None or found.uid in (os.getuid(), 0)


def _holds(pid: int, wanted: str) -> bool:
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            return any(os.readlink(entry.path) == wanted for entry in entries)
    except OSError:
        return False


def cwd_of(pid: int) -> str | None:
    """The folder a process works in, or None when it is gone or not ours to look at."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return None


def _numbers(folder: Path) -> list[int]:
    try:
        return [int(name) for name in os.listdir(folder) if name.isdigit()]
    except OSError:
        return []
