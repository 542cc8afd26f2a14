"""Who owns the other end of a loopback TCP connection, asked of the kernel (Linux, sock_diag(7)).

One question for one connection: reading /proc/net/tcp costs tens of milliseconds on a machine with many connections.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY, the type of question and answer
_REQUEST = 1  # NLM_F_REQUEST
_ANY_STATE = 0xFFFFFFFF
_NO_COOKIE = (0xFFFFFFFF, 0xFFFFFFFF)
_HEADER = struct.Struct("=IHHII")
_QUESTION = struct.Struct("=BBBBI")
_ENDS = struct.Struct("!HH16s16s")
_REST_OF_ID = struct.Struct("=III")
_OWNER = struct.Struct("=II")
_OWNER_AT = _HEADER.size + 4 + 48 + 12
_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Owner:
    """The user and the socket inode at the client's end of a connection."""

    uid: int
    inode: int


def owner(host: str, port: int, local_host: str, local_port: int) -> Owner | None:
    """The owner of the socket at `host:port` that is connected to our `local_host:local_port`; None when unknown."""
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        return None
    question = _question(host, port, local_host, local_port)
    if question is None:
        return None
    try:
        with socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG) as kernel:
            kernel.settimeout(_TIMEOUT_S)
            kernel.send(_HEADER.pack(_HEADER.size + len(question), _BY_FAMILY, _REQUEST, 1, 0) + question)
            answer = kernel.recv(8192)
    except OSError:
        return None
    if len(answer) < _OWNER_AT + _OWNER.size or _HEADER.unpack_from(answer)[1] != _BY_FAMILY:
        return None
    return Owner(*_OWNER.unpack_from(answer, _OWNER_AT))


def _question(host: str, port: int, local_host: str, local_port: int) -> bytes | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        ends = _ENDS.pack(
            port, local_port, socket.inet_pton(family, host), socket.inet_pton(family, local_host)
        )
    except (OSError, struct.error):
        return None
    head = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, _ANY_STATE)
    return head + ends + _REST_OF_ID.pack(0, *_NO_COOKIE)
