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
_TIMEOUT = struct.pack("@ll", 1, 0)  # a timeval: one second


@dataclass(frozen=True, slots=True)
class Owner:
    """The user and the socket inode at the client's end of a connection."""

    uid: int
    inode: int


class InetDiag:
    """Asks on one socket that stays open: the kernel answers while it is being asked. Use from one thread."""

    def __init__(self) -> None:
        self._kernel: socket.socket | None = None

    def owner(self, host: str, port: int, local_host: str, local_port: int) -> Owner | None:
        """The owner of the socket at `host:port` that is connected to our `local_host:local_port`.

        None when it is unknown, or the system does not say.
        """
        question = _question(host, port, local_host, local_port)
        family = getattr(socket, "AF_NETLINK", None)
        if family is None or question is None:
            return None
        try:
            if self._kernel is None:
                self._kernel = _opened(family)
            self._kernel.send(
                _HEADER.pack(_HEADER.size + len(question), _BY_FAMILY, _REQUEST, 1, 0) + question
            )
            answer = self._kernel.recv(8192)
        except OSError:
            self.close()  # an answer that comes late must not be taken for another's
            return None
        if len(answer) < _OWNER_AT + _OWNER.size or _HEADER.unpack_from(answer)[1] != _BY_FAMILY:
            return None
        return Owner(*_OWNER.unpack_from(answer, _OWNER_AT))

    def close(self) -> None:
        """Let the socket go. The next question opens another."""
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None


def _opened(family: int) -> socket.socket:
    kernel = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG)
    # Python's own timeout would poll before each call.
    kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEOUT)
    return kernel


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
