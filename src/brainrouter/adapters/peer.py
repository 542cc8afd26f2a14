"""Who is calling: the process behind a connection, and its folder. A label for the eye, never an authority."""

from __future__ import annotations

import os
import re
import socket
import struct
from itertools import islice

from brainrouter.adapters.inet_diag import Owner

_UCRED = struct.Struct("iii")
_SOCKET = re.compile(r"socket:\[(\d+)\]")
RECENT = 8
NEAR_PIDS = 3
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
    """Finds the process at the client's end of a loopback connection.

    A whole look through /proc takes milliseconds, so the processes that called lately are looked at first, and the
    sockets that were passed on the way are remembered: a harness opens many connections, some hundreds at once.
    """

    def __init__(self) -> None:
        # The descriptor of the last socket by pid, the last caller at the end.
        self._recent: dict[int, int] = {}
        # The pid by the inode of a socket that was passed: the kernel counts inodes up, none means another soon.
        self._seen: dict[int, int] = {}

    def near(self, owner: Owner) -> int | None:
        """The pid, where it can be told with a handful of system calls: from the event loop, that is.

        Most new connections are where a program's last one was, or next to it.
        """
        wanted = owner.inode
        found = self._seen.pop(wanted, None)
        if found is not None:
            return found
        for pid, last in islice(reversed(self._recent.items()), NEAR_PIDS):
            for number in (last, last + 1):
                if _inode_at(pid, number) == wanted:
                    self._called(pid, number)
                    return pid
        return None

    def pid(self, owner: Owner) -> int | None:
        """The pid that holds the socket; None when it cannot be seen. Use from one thread, which is not the loop's."""
        found = self.near(owner)
        if found is not None:
            return found
        for pid in (*reversed(self._recent), *_numbers("/proc")):
            if self._holds(pid, owner.inode):
                return pid
        return None

    def _holds(self, pid: int, wanted: int) -> bool:
        """Whether a process has that socket. The newest are looked at first: the connection has just been made."""
        if len(self._seen) > SEEN:
            self._seen.clear()
        for number in sorted(_numbers(f"/proc/{pid}/fd"), reverse=True):
            inode = _inode_at(pid, number)
            if inode == wanted:
                self._called(pid, number)
                return True
            if inode is not None:
                self._seen[inode] = pid
        return False

    def _called(self, pid: int, number: int) -> None:
        others = [caller for caller in self._recent.items() if caller[0] != pid]
        self._recent = dict([*others[1 - RECENT :], (pid, number)])  # in one step: two threads read it


def _inode_at(pid: int, number: int) -> int | None:
    """The inode of the socket that is open there, if one is."""
    try:
        found = _SOCKET.fullmatch(os.readlink(f"/proc/{pid}/fd/{number}"))
    except OSError:  # closed, or not ours to look at
        return None
    return int(found[1]) if found else None


def is_ours(owner: Owner | None) -> bool:
    """Whether the other end of a TCP connection is ours or root's. Where the system does not say, it counts as ours."""
    return owner is None or owner.uid in (os.getuid(), 0)


def cwd_of(pid: int | None) -> str | None:
    """The folder a process works in, or None when it is not known, gone or not ours to look at."""
    if pid is None:
        return None
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return None


def _numbers(folder: str) -> list[int]:
    try:
        return [int(name) for name in os.listdir(folder) if name.isdigit()]
    except OSError:
        return []
