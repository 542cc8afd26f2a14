"""Who is calling: the process behind a connection, and its folder. A label for the eye, never an authority."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

_UCRED = struct.Struct("iii")
_ESTABLISHED = "01"


def unix_pid(connection: socket.socket) -> int | None:
    """The pid at the other end of a Unix socket (SO_PEERCRED), or None where the system does not say."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    try:
        return _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _UCRED.size))[0] or None
    except OSError:
        return None


def tcp_pid(host: str, port: int, local_port: int) -> int | None:
    """The pid that owns the client's end of a loopback connection. Takes milliseconds: call it in a thread."""
    inode = _inode(port, local_port)
    if inode is None:
        return None
    wanted = f"socket:[{inode}]"
    for entry in _numbers(Path("/proc")):
        try:
            for fd in os.scandir(f"/proc/{entry}/fd"):
                if os.readlink(fd.path) == wanted:
                    return entry
        except OSError:
            continue
    return None


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
