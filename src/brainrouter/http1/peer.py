"""Who is at the other end of a connection."""

import asyncio
import socket
from typing import Any

from brainrouter.http1.message import Peer


def peer_of(transport: asyncio.BaseTransport) -> Peer:
    """The peer of a fresh connection."""
    sock: Any = transport.get_extra_info("socket")
    name: Any = transport.get_extra_info("peername")
    local: Any = transport.get_extra_info("sockname")
    if sock.family == socket.AF_UNIX:
        return Peer("unix", "", 0, sock, (local,))
    host, port = (str(name[0]), int(name[1])) if name else ("", 0)
    return Peer("tcp", host, port, sock, tuple(local or ()))
