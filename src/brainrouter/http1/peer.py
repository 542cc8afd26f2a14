"""Who is at the other end of a connection, and whether it is still there."""

import asyncio
import select
import socket
import struct
from typing import Any

from brainrouter.http1.message import Peer

_RESET = struct.pack("ii", 1, 0)


def peer_of(transport: asyncio.BaseTransport) -> Peer:
    """The peer of a fresh connection."""
    sock: Any = transport.get_extra_info("socket")
    name: Any = transport.get_extra_info("peername")
    local: Any = transport.get_extra_info("sockname")
    if sock.family == socket.AF_UNIX:
        return Peer("unix", "", 0, sock, (local,))
    host, port = (str(name[0]), int(name[1])) if name else ("", 0)
    return Peer("tcp", host, port, sock, tuple(local or ()))


def hung_up(peer: Peer) -> bool:
    """True when the other end is closed in both directions, as far as the kernel knows yet."""
    poller = select.poll()
    try:
        poller.register(peer.socket.fileno(), 0)
    except (OSError, ValueError):
        return True
    return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poller.poll(0))


def reset_on_close(peer: Peer) -> None:
    """Make the coming close a reset: for an answer whose end is the connection's end, a FIN would look whole."""
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
