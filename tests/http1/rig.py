"""Real loopback sockets for the tests of the HTTP room: a server around a handler, and a client that writes raw bytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h11
import uvloop

from brainrouter.http1.client import Client, Origin
from brainrouter.http1.message import Handler, Reply, Request, Sink, StreamReply
from brainrouter.http1.server import Limits, Server

HANG_S = 10.0  # nothing here takes that long; a test that does hangs
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}


def run(main: Coroutine[Any, Any, None], loop: str = "uvloop") -> None:
    """Run a test's coroutine; whatever the loop's exception handler hears fails the test, unless it was asked for."""
    complaints: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with asyncio.timeout(HANG_S):
            await main

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(watched())
    assert [c for c in complaints if not isinstance(c.get("exception"), Expected)] == []


class Expected(Exception):
    """Raised by a handler on purpose."""


@dataclass
class Served:
    """A running server and where it is."""

    server: Server
    port: int
    unix: str = ""
    requests: list[Request] = field(default_factory=list)

    @property
    def origin(self) -> Origin:
        return Origin.parse(f"http://127.0.0.1:{self.port}")[0]


def bound() -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    return sock


async def echo(request: Request) -> Reply:
    """Says what it heard."""
    return Reply(
        200, f"{request.method} {request.path}?{request.query} ".encode() + request.body, "text/plain"
    )


@contextlib.asynccontextmanager
async def served(
    handler: Handler = echo, limits: Limits | None = None, unix: Path | None = None
) -> AsyncIterator[Served]:
    requests: list[Request] = []

    async def recorded(request: Request) -> Any:
        requests.append(request)
        return await handler(request)

    server = Server(recorded, limits)
    sock = bound()
    sockets = [sock]
    if unix is not None:
        sockets.append(socket.socket(socket.AF_UNIX))
        sockets[-1].bind(str(unix))
    await server.serve(sockets)
    here = Served(server, sock.getsockname()[1], str(unix or ""), requests)
    try:
        yield here
    finally:
        await server.drain(0.05)
        assert (server.connections, server.in_flight, server.held) == (0, 0, 0)


@contextlib.asynccontextmanager
async def client(**settings: Any) -> AsyncIterator[Client]:
    one = Client(**settings)
    try:
        yield one
    finally:
        await one.close()


class Wire:
    """A raw client: writes bytes, reads bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.sock: Any = writer.get_extra_info("socket")
        self._replies = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def rest(self) -> bytes:
        """Everything until the server ends the connection, whichever way."""
        data = b""
        try:
            while piece := await self.reader.read(1 << 16):
                data += piece
        except ConnectionError:
            pass
        return data

    async def until(self, mark: bytes) -> bytes:
        return await self.reader.readuntil(mark)

    async def reply(self, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """The next whole reply, read by h11; raises h11.RemoteProtocolError when it is cut."""
        if self._replies.our_state is not h11.IDLE:
            self._replies.start_next_cycle()
        self._replies.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        self._replies.send(h11.EndOfMessage())
        status, headers, body = 0, {}, b""
        while True:
            event = self._replies.next_event()
            if event is h11.NEED_DATA:
                self._replies.receive_data(await self.reader.read(1 << 16))
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return status, headers, body

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Leave with an RST."""
        self.writer.transport.abort()


@contextlib.asynccontextmanager
async def wire(where: Served, *, over_unix: bool = False) -> AsyncIterator[Wire]:
    opening: Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
    if over_unix:
        opening = asyncio.open_unix_connection(where.unix)
    else:
        opening = asyncio.open_connection("127.0.0.1", where.port)
    one = Wire(*await opening)
    try:
        yield one
    finally:
        one.close()


Script = Callable[[Wire], Coroutine[Any, Any, None]]


@dataclass
class Upstream:
    """A scripted upstream and what it heard."""

    origin: Origin
    heads: list[bytes]
    connections: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)  # a script saw its connection end


async def hear(wire: Wire) -> bytes:
    """One whole request at the upstream's end: head and body."""
    head = await wire.until(b"\r\n\r\n")
    length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    body = await wire.reader.readexactly(int(length[0].split(b":")[1])) if length else b""
    return head + body


@contextlib.asynccontextmanager
async def upstream(*scripts: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Upstream]:
    """Connection n runs script n, after its first request was heard; the last script repeats."""
    here = Upstream(Origin("http", "127.0.0.1", 1), [])
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        script = scripts[min(here.connections, len(scripts) - 1)]
        here.connections += 1
        one = Wire(reader, writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            here.heads.append(await hear(one))
            await script(one)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    here.origin = Origin("https" if tls else "http", "127.0.0.1", server.sockets[0].getsockname()[1])
    try:
        yield here
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that no event tells of; the test's own deadline ends it."""
    while not condition():
        await asyncio.sleep(0.002)


def piped(near: Client, far: Upstream, idle_s: float = 5) -> Handler:
    """A handler that passes on what the upstream answers, as it comes."""

    async def through(request: Request) -> StreamReply:
        response = await near.request(far.origin, "GET", "/", [], first_byte_s=5)

        async def produce(sink: Sink) -> None:
            try:
                await response.pipe(sink.write, sink, idle_s=idle_s)
            finally:
                response.close()

        return StreamReply(response.status, produce)

    return through
