"""Who is calling: the process behind a connection, and its folder. A label for the eye, never an authority."""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from pathlib import Path

_UCRED = struct.Struct("iii")
_ESTABLISHED = "01"
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

    def pid(self, port: int, local_port: int) -> int | None:
        """The pid that holds the connection from `port` to our `local_port`, or None when it cannot be seen."""
        inode = _inode(port, local_port)
        if inode is None:
            return None
        wanted = f"socket:[{inode}]"
        for pid in [*self._recent, *_numbers(Path("/proc"))]:
            if _holds(pid, wanted):
                if pid not in self._recent:
                    self._recent.appendleft(pid)
                return pid
        return None


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


def _inode(port: int, local_port: int) -> str | None:
    local, remote = f":{port:04X}", f":{local_port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as lines:
                for line in lines:
                    fields = line.split()
                    ours = len(fields) > 9 and fields[1].endswith(local) and fields[2].endswith(remote)
                    if ours and fields[3] == _ESTABLISHED:
                        return fields[9]
        except OSError:
            continue
    return None


def _numbers(folder: Path) -> list[int]:
    try:
        return [int(name) for name in os.listdir(folder) if name.isdigit()]
    except OSError:
        return []
