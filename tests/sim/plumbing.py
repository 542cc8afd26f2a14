"""HTTP/1.1 for the fakes: one listener, keep-alive, exact control over every byte and every close.

A peer that closes its sending side counts as gone (no half-open clients): that is how a cancel looks.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.sim.reading import BadRequest, Request, read_request

HEAD_LIMIT_BYTES = 1 << 20
REASONS = {
    200: "OK", 204: "No Content", 301: "Moved Permanently", 302: "Found", 307: "Temporary Redirect",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 411: "Length Required",
    413: "Content Too Large", 429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout", 529: "Overloaded",
}  # fmt: skip
Headers = Iterable[tuple[str, str]]
Handler = Callable[["Exchange"], Awaitable[None]]


class _Watched(asyncio.StreamReaderProtocol):
    """Stream protocol that notes the moment the peer left, whatever the handler is doing."""

    def __init__(self, server: Server) -> None:
        reader = asyncio.StreamReader(limit=HEAD_LIMIT_BYTES)
        super().__init__(reader, server.serve)
        self.server = server
        self.reader = reader
        self.gone = asyncio.Event()
        self.gone_at: float | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.connections.add(self)
        self.server.accepted += 1
        if self.server.mode == "reset":
            reset(transport)
            return
        super().connection_made(transport)

    def _left(self) -> None:
        if self.gone_at is None:
            self.gone_at = time.monotonic()
            self.gone.set()

    def eof_received(self) -> bool | None:
        self._left()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._left()
        self.server.connections.discard(self)
        super().connection_lost(exc)


def reset(transport: asyncio.WriteTransport) -> None:
    """Close with an RST in place of a FIN."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


@dataclass
class Exchange:
    """One request and every way of answering it, right or wrong."""

    request: Request
    writer: asyncio.StreamWriter
    connection: int
    framing: str = ""
    complete: bool = False
    cut: bool = False
    keep_alive: bool = True
    sent_bytes: int = 0
    notes: dict[str, Any] = field(default_factory=dict[str, Any])

    async def raw(self, data: bytes) -> None:
        """Write `data` as it is; waits while the peer does not read."""
        self.writer.write(data)
        self.sent_bytes += len(data)
        await self.writer.drain()

    def head(self, status: int, headers: Headers, framing: str, length: int = 0) -> bytes:
        """The bytes of a head; `framing` is `chunked`, `length` or `close`."""
        if framing == "chunked" and self.request.version == "HTTP/1.0":
            framing = "close"
        self.framing = framing
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if status != 204 and framing == "length":
            lines.append(f"content-length: {length}")
        elif framing == "chunked":
            lines.append("transfer-encoding: chunked")
        if framing == "close" or not self.request.keep_alive:
            self.keep_alive = False
            lines.append("connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    async def start(
        self, status: int = 200, headers: Headers = (), framing: str = "chunked", length: int = 0
    ) -> None:
        """Send the head of an answer whose body follows by `send`."""
        await self.raw(self.head(status, headers, framing, length))

    def framed(self, data: bytes) -> bytes:
        """`data` as one piece of the body in the framing that `start` chose."""
        if self.framing == "chunked":
            return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        return data

    async def send(self, data: bytes) -> None:
        """One piece of the body."""
        if self.request.method != "HEAD":
            await self.raw(self.framed(data))

    async def finish(self) -> None:
        """End the body cleanly."""
        if self.framing == "chunked" and self.request.method != "HEAD":
            await self.raw(b"0\r\n\r\n")
        self.complete = True

    async def reply(
        self, status: int, body: bytes, headers: Headers = (("content-type", "application/json"),)
    ) -> None:
        """A whole answer in one write."""
        head = self.head(status, headers, "length", len(body))
        await self.raw(head if self.request.method == "HEAD" or status == 204 else head + body)
        self.complete = True

    async def reply_json(self, status: int, document: Any, headers: Headers = ()) -> None:
        """A whole JSON answer."""
        body = json.dumps(document, ensure_ascii=False).encode()
        await self.reply(status, body, [("content-type", "application/json"), *headers])

    def reset(self) -> None:
        """Break off with an RST."""
        self.cut = True
        self.keep_alive = False
        reset(self.writer.transport)

    def fin(self) -> None:
        """Break off with a FIN, whatever the framing promised."""
        self.cut = True
        self.keep_alive = False
        self.writer.close()


class Server:
    """A listener that can be closed, opened again on the same port, or made to reset whoever connects."""

    def __init__(self, handler: Handler, host: str = "127.0.0.1", port: int = 0) -> None:
        self.handler = handler
        self.host = host
        self.port = port
        self.mode = "open"
        self.accepted = 0
        self.connections: set[_Watched] = set()
        self.on_left: Callable[[Exchange, float], None] = lambda exchange, when: None
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; a port of 0 becomes the one the system gave."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Watched(self), self.host, self.port, backlog=1024)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def listen(self, mode: str, drop: bool = False) -> None:
        """`open`, `reset` on accept, or `refuse` (nothing listens); `drop` also resets who is connected."""
        self.mode = mode
        if mode == "refuse" and self._listener is not None:
            self._listener.close()
            self._listener = None
        if mode != "refuse" and self._listener is None:
            await self.start()
        if drop:
            for connection in list(self.connections):
                if connection.transport is not None:
                    reset(connection.transport)

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Own the task of one connection."""
        task = asyncio.get_running_loop().create_task(self._converse(reader, writer, self.accepted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        protocol = writer.transport.get_protocol()
        assert isinstance(protocol, _Watched)
        try:
            while (request := await read_request(reader, writer)) is not None:
                exchange = Exchange(request, writer, number)
                await self._answer(exchange, protocol)
                if not (exchange.complete and exchange.keep_alive and request.keep_alive):
                    break
        except BadRequest as error:
            body = json.dumps({"error": {"message": str(error), "type": "invalid_request_error"}}).encode()
            head = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
            writer.write(head % len(body) + body)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, exchange: Exchange, protocol: _Watched) -> None:
        """Run the handler until it is done or the peer leaves."""
        loop = asyncio.get_running_loop()
        work = loop.create_task(_run(self.handler, exchange))
        gone = loop.create_task(protocol.gone.wait())
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            work.cancel()
        error: BaseException | None = None
        try:
            await work
        except asyncio.CancelledError:
            pass
        except ConnectionError as broken:
            error = broken
        if not exchange.complete and not exchange.cut and (protocol.gone_at is not None or error is not None):
            self.on_left(exchange, protocol.gone_at or time.monotonic())


async def _run(handler: Handler, exchange: Exchange) -> None:
    await handler(exchange)
