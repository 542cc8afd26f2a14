"""The server: listeners, the set of connections, the sweep of their deadlines, and a graceful end."""

import asyncio
import socket
from collections import defaultdict
from collections.abc import Sequence

from brainrouter.http1.connection import ServerConnection
from brainrouter.http1.framing import ErrorBody, plain_error
from brainrouter.http1.known_head import KnownHeads
from brainrouter.http1.limits import Limits
from brainrouter.http1.message import Address, Handler

__all__ = ["Limits", "Server"]

ABORT_WAIT_S = 1.0


class Server:
    """Answers HTTP/1.1 on sockets that somebody else has bound.

    `handler` gets each whole request; it runs in its connection's task, which is cancelled when the client leaves.
    What the server refuses by itself has the body that `error_body(status, message, path)` gives. `lines` are header
    lines, made by `framing.header_lines`, of every answer.
    """

    def __init__(
        self,
        handler: Handler,
        limits: Limits | None = None,
        error_body: ErrorBody = plain_error,
        lines: bytes = b"",
    ) -> None:
        self.handler = handler
        self.lines = lines
        self.limits = limits or Limits()
        self.error_body = error_body
        self.loop: asyncio.AbstractEventLoop
        self.draining = False
        self.in_flight = 0
        self.held = 0
        self._heads: defaultdict[Address, KnownHeads] = defaultdict(KnownHeads)
        self._connections: set[ServerConnection] = set()
        self._listeners: list[asyncio.Server] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event = asyncio.Event()

    @property
    def connections(self) -> int:
        """Open client connections."""
        return len(self._connections)

    async def serve(self, sockets: Sequence[socket.socket]) -> None:
        """Start answering on `sockets` (bound, TCP and Unix); returns when all listen. They are ours to close now."""
        self.loop = asyncio.get_running_loop()
        for sock in sockets:
            sock.setblocking(False)
            make = self.loop.create_unix_server if sock.family == socket.AF_UNIX else self.loop.create_server
            listener = await make(lambda: ServerConnection(self), sock=sock, backlog=self.limits.backlog)
            self._listeners.append(listener)  # unreferenced, a Unix server is collected and stops listening
        self._sweep()

    async def drain(self, grace_s: float) -> None:
        """Stop accepting, let the requests in flight finish within `grace_s`, then cut what is left.

        Answers that begin from now on say `connection: close`; idle connections close at once. Returns when no
        connection is left. May be called again with a shorter grace.
        """
        self.draining = True
        for listener in self._listeners:
            listener.close()
        for connection in list(self._connections):
            connection.stop(now=False)
        if not await self._emptied(grace_s):
            for connection in list(self._connections):
                connection.stop(now=True)
            await self._emptied(ABORT_WAIT_S)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    async def _emptied(self, within_s: float) -> bool:
        if not self._connections and self.in_flight == 0:
            return True
        self._empty.clear()
        try:
            async with asyncio.timeout(within_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    # What a connection calls.

    def heads_at(self, address: Address) -> KnownHeads:
        """The request heads that came to one of our addresses lately."""
        return self._heads[address]

    def joined(self, connection: ServerConnection) -> bool:
        """A connection is open; False when there is no room for it."""
        self._connections.add(connection)
        return len(self._connections) <= self.limits.max_connections and not self.draining

    def left(self, connection: ServerConnection) -> None:
        """A connection is closed."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in list(self._connections):
            connection.sweep(now)
        self._sweeper = self.loop.call_later(self.limits.tick_s(), self._sweep)
