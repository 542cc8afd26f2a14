"""Who is calling: the process behind a connection, and its folder. A label for the eye, never an authority."""

from __future__ import annotations

import os
import re
import socket
import struct
from collections import deque

from brainrouter.adapters.inet_diag import Owner

_UCRED = struct.Struct("iii")
_SOCKET = re.compile(r"socket:\[(\d+)\]")
RECENT = 8
SEEN = 4096


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

    A whole look through /proc takes milliseconds, so the processes that called lately are looked at first, and the
    sockets that were passed on the way are remembered: a harness opens many connections, some hundreds at once.
    """

    def __init__(self) -> None:
        self._recent: deque[int] = deque(maxlen=RECENT)
        self._seen: dict[int, int] = {}  # by the socket's inode, of which the kernel hands out each only once

    def pid(self, owner: Owner) -> int | None:
        """The pid that holds the socket; None when it cannot be seen."""
        wanted = owner.inode
        found = self._seen.pop(wanted, None)
        if found is not None:
            return found
        for pid in self._recent:
            if self._holds(pid, wanted):
                return pid
        for pid in _numbers("/proc"):
            if self._holds(pid, wanted):
                self._recent.appendleft(pid)
                return pid
        return None

    def _holds(self, pid: int, wanted: int) -> bool:
        """Whether a process has that socket. The newest are looked at first: the connection has just been made."""
        folder = f"/proc/{pid}/fd"
        if len(self._seen) > SEEN:
            self._seen.clear()
        for number in sorted(_numbers(folder), reverse=True):
            try:
                socket_ = _SOCKET.fullmatch(os.readlink(f"{folder}/{number}"))
            except OSError:  # closed meanwhile
                continue
            if socket_ is None:
                continue
            inode = int(socket_[1])
            if inode == wanted:
                return True
            self._seen[inode] = pid
        return False


def is_ours(owner: Owner | None) -> bool:
    """Whether the other end of a TCP connection is ours or root's. Where the system does not say, it counts as ours."""
    return owner is None or owner.uid in (os.getuid(), 0)


def cwd_of(pid: int) -> str | None:
    """The folder a process works in, or None when it is gone or not ours to look at."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return None


def _numbers(folder: str) -> list[int]:
    try:
        return [int(name) for name in os.listdir(folder) if name.isdigit()]
    except OSError:
        return []
