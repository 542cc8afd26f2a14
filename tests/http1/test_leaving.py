"""A client that leaves ends its request at once; one that only closed its writing side is still answered."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from brainrouter.http1.errors import ClientGone
from brainrouter.http1.message import Reply, Request, Sink, StreamReply
from brainrouter.http1.server import Limits
from tests.http1.rig import Wire, run, served, until, wire

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
loops = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
NOTICED_S = 0.5  # the aim is 50 ms; a loaded machine gets more


class Handling:
    """A handler that never ends by itself, and what became of it."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, request: Request) -> Reply | StreamReply:
        if self.mode == "whole":
            await self.forever()
        return StreamReply(200, self.produce)

    async def produce(self, sink: Sink) -> None:
        if self.mode == "stream":
            sink.write(b"first")
        await self.forever()

    async def forever(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


@loops
@pytest.mark.parametrize("mode", ["whole", "before the first byte", "stream"])
@pytest.mark.parametrize("how", [Wire.close, Wire.reset], ids=["FIN", "RST"])
@pytest.mark.parametrize("over_unix", [False, True], ids=["TCP", "Unix"])
def test_the_handler_is_cancelled_when_its_client_leaves(
    loop: str, mode: str, how: Callable[[Wire], None], over_unix: bool, tmp_path: Path
):
    async def main() -> None:
        handling = Handling(mode)
        async with served(handling, unix=tmp_path / "s") as here:
            for _ in range(3):
                async with wire(here, over_unix=over_unix) as one:
                    one.send(GET)
                    await handling.begun.wait()
                    how(one)
                    async with asyncio.timeout(NOTICED_S):
                        await handling.cancelled.wait()
                        await until(lambda: here.server.connections == 0)
                    handling.begun.clear()
                    handling.cancelled.clear()
            assert here.server.in_flight == 0

    run(main(), loop)


def test_a_client_that_leaves_with_its_last_byte_is_no_leak():
    async def main() -> None:
        handling = Handling("whole")
        async with served(handling) as here:
            for _ in range(20):
                async with wire(here) as one:
                    one.send(GET)
                    one.close()
            await until(lambda: here.server.connections == 0 and here.server.in_flight == 0)

    run(main())


def test_a_client_that_leaves_in_the_middle_of_a_request_never_reaches_the_handler():
    async def main() -> None:
        handling = Handling("whole")
        async with served(handling) as here:
            for part in (GET[:-2], b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"):
                async with wire(here) as one:
                    one.send(part)
                    await until(lambda: here.server.connections == 1)
                    one.close()
                    await until(lambda: here.server.connections == 0)
            assert here.requests == []

    run(main())


async def late_whole(request: Request) -> Reply:
    await asyncio.sleep(0.1)
    return Reply(200, b"late")


async def late_stream(request: Request) -> StreamReply:
    async def produce(sink: Sink) -> None:
        await asyncio.sleep(0.1)
        sink.write(b"la")
        await asyncio.sleep(0.1)
        sink.write(b"te")

    return StreamReply(200, produce)


async def prompt_stream(request: Request) -> StreamReply:
    async def produce(sink: Sink) -> None:
        sink.write(b"la")
        await asyncio.sleep(0.1)
        sink.write(b"te")

    return StreamReply(200, produce)


@loops
@pytest.mark.parametrize("handler", [late_whole, late_stream, prompt_stream])
@pytest.mark.parametrize("over_unix", [False, True], ids=["TCP", "Unix"])
def test_a_half_closed_client_is_still_answered(
    loop: str, handler: Callable[[Request], Awaitable[Reply | StreamReply]], over_unix: bool, tmp_path: Path
):
    async def main() -> None:
        async with served(handler, unix=tmp_path / "s") as here, wire(here, over_unix=over_unix) as one:
            one.send(GET)
            one.writer.write_eof()
            assert (await one.reply())[2] == b"late"
            assert await one.rest() == b""
            await until(lambda: here.server.connections == 0)

    run(main(), loop)


def test_a_half_closed_client_gets_every_pipelined_answer():
    async def main() -> None:
        async with served(late_whole) as here, wire(here) as one:
            one.send(GET * 3)
            one.writer.write_eof()
            assert [(await one.reply())[2] for _ in range(3)] == [b"late"] * 3
            assert await one.rest() == b""

    run(main())


def test_a_half_closed_client_that_then_leaves_ends_its_request():
    async def main() -> None:
        handling = Handling("whole")
        async with served(handling, Limits(linger_s=0.1)) as here, wire(here) as one:
            one.send(GET)
            one.writer.write_eof()
            assert await one.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            await asyncio.sleep(0.05)
            assert not handling.cancelled.is_set()
            one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            one.reset()
            await handling.cancelled.wait()

    run(main())


def test_writing_to_a_client_that_left_raises_client_gone():
    sinks: list[Sink] = []

    async def keep(request: Request) -> StreamReply:
        async def produce(sink: Sink) -> None:
            sinks.append(sink)
            sink.write(b"a")
            await asyncio.Event().wait()

        return StreamReply(200, produce)

    async def main() -> None:
        async with served(keep) as here, wire(here) as one:
            one.send(GET)
            await one.until(b"a\r\n")
            one.close()
            await until(lambda: here.server.connections == 0)
            with pytest.raises(ClientGone):
                sinks[0].write(b"b")
            with pytest.raises(ClientGone):
                await sinks[0].drain()

    run(main())


def test_a_producer_that_never_waits_stops_when_its_client_leaves():
    async def flood(request: Request) -> StreamReply:
        async def produce(sink: Sink) -> None:
            while True:
                sink.write(b"x" * 1000)
                await sink.drain()

        return StreamReply(200, produce)

    async def main() -> None:
        async with served(flood) as here, wire(here) as one, wire(here) as other:
            one.send(GET)
            await one.reader.read(1000)
            one.close()
            await until(lambda: here.server.in_flight == 0)
            other.send(GET)
            await other.reader.read(1000)

    run(main())
