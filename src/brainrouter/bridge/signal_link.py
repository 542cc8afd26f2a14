"""A connection to signal-cli, over whichever of its doors the address names."""

from __future__ import annotations

from brainrouter.bridge import signal_socket
from brainrouter.bridge.signal_http import HttpLink
from brainrouter.bridge.signal_rpc import Link


async def connect(address: str) -> Link:
    """A link to `address`: a path, or an http:// URL. Raises LinkLost."""
    if address.startswith(("http://", "https://")):
        return HttpLink(address)
    return await signal_socket.connect(address)
