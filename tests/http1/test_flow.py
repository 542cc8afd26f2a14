"""Nobody's slowness fills our memory: readers that do not read, senders that do not stop."""

from __future__ import annotations

import asyncio
import resource
import socket
import sys

import pytest

from brainrouter.http1.message import Reply, Request, Sink, StreamReply
from brainrouter.http1.server import Limits
from tests.http1.rig import Wire, client, piped, run, served, until, upstream, wire

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
GET_OLD = b"GET / HTTP/1.0\r\n\r\n"
MIB = 1 << 20
# CVE-2024-12254: in these, asyncio's own transport does not say that writelines has filled it. The daemon has uvloop's.
NEVER_FULL = (3, 12) <= sys.version_info < (3, 12, 9) or (3, 13) <= sys.version_info < (3, 13, 2)
never_full = pytest.mark.xfail(NEVER_FULL, reason="this Python's writelines never pauses a protocol")
loops = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
loops_that_pause = pytest.mark.parametrize("loop", ["uvloop", pytest.param("asyncio", marks=never_full)])


def stop_reading(one: Wire, *, window: int = 0) -> None:
    if window:
        one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    one.writer.transport.pause_reading()  # type: ignore[attr-defined]


@loops_that_pause
def test_a_client_that_never_reads_holds_the_producer_and_is_cut_in_the_end(loop: str):
    written = 0
    ended = asyncio.Event()

    async def large(request: Request) -> StreamReply:
        async def produce(sink: Sink) -> None:
            nonlocal written
            try:
                for _ in range(200 * 16):
                    sink.write(b"x" * 65536)
                    written += 65536
                    await sink.drain()
            finally:
                ended.set()

        return StreamReply(200, produce)

    async def main() -> None:
        async with served(large, Limits(write_stall_s=0.2)) as here, wire(here) as one:
            stop_reading(one, window=4096)
            one.send(GET)
            await ended.wait()
            assert 0 < written < 10 * MIB
            await until(lambda: here.server.connections == 0)

    run(main(), loop)


@loops
def test_a_slow_reader_gets_everything_and_is_not_cut(loop: str):
    async def large(request: Request) -> Reply:
        return Reply(200, b"x" * (8 * MIB))

    async def main() -> None:
        async with served(large, Limits(write_stall_s=0.1)) as here, wire(here) as one:
            one.send(GET)
            size = 0
            while size < 8 * MIB:
                size += len(await one.reader.read(256 * 1024))
                await asyncio.sleep(0.005)

    run(main(), loop)


def test_pipelined_large_answers_wait_for_the_reader():
    async def large(request: Request) -> Reply:
        return Reply(200, b"x" * MIB)

    async def main() -> None:
        async with served(large, Limits(write_stall_s=0.2)) as here, wire(here) as one:
            stop_reading(one, window=4096)
            one.send(GET * 100)
            await until(lambda: here.server.connections == 1)
            await until(lambda: here.server.connections == 0)
            assert len(here.requests) < 10

    run(main())


@loops_that_pause
def test_a_paused_client_pauses_the_upstream_through_the_pipe(loop: str):
    sent = 0

    async def endless(one: Wire) -> None:
        nonlocal sent
        one.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(200 * 16):
            one.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            sent += 65536
            await one.writer.drain()
        one.send(b"0\r\n\r\n")

    async def main() -> None:
        async with upstream(endless) as far, client() as near:
            limits = Limits(write_stall_s=30)
            async with served(piped(near, far, idle_s=0.2), limits) as here, wire(here) as one:
                stop_reading(one)
                one.send(GET)
                seen = -1
                while seen < sent:  # stands still
                    seen = sent
                    await asyncio.sleep(0.5)
                assert 0 < sent < 40 * MIB  # what the kernel holds on two hops, and our buffers
                assert here.server.in_flight == 1  # a paused upstream is not a silent one
                one.writer.transport.resume_reading()  # type: ignore[attr-defined]
                size = 0
                while size < 100 * MIB:
                    size += len(await one.reader.read(MIB))
            await until(lambda: near.connections == 0)

    run(main(), loop)


def test_a_body_that_nobody_reads_pauses_the_upstream():
    sent = 0

    async def endless(one: Wire) -> None:
        nonlocal sent
        one.send(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(200 * 16):
            one.send(b"x" * 65536)
            sent += 65536
            await one.writer.drain()

    async def main() -> None:
        async with upstream(endless) as far, client() as near:
            response = await near.request(far.origin, "GET", "/", [], first_byte_s=5)
            seen = -1
            while seen < sent:
                seen = sent
                await asyncio.sleep(0.3)
            assert sent < 20 * MIB
            size = 0
            while data := await response.chunk(idle_s=5):
                size += len(data)
            assert size == 200 * MIB
            response.close()

    run(main())


def test_out_of_descriptors_the_server_neither_dies_nor_spins_and_recovers():
    async def main() -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        async with served() as here, wire(here) as one:
            one.send(GET)
            await one.reply()
            wires = [socket.socket() for _ in range(3)]
            for sock in wires:
                sock.setblocking(False)
            taken = [socket.socket()]
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0].fileno() + 1, hard))
                for sock in wires:
                    sock.connect_ex(("127.0.0.1", here.port))
                spent = resource.getrusage(resource.RUSAGE_SELF)
                one.send(GET)
                assert (await one.reply())[0] == 200
                await asyncio.sleep(0.5)
                now = resource.getrusage(resource.RUSAGE_SELF)
                assert now.ru_utime + now.ru_stime - spent.ru_utime - spent.ru_stime < 0.25
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for sock in (*wires, *taken):
                    sock.close()
            async with wire(here) as other:
                other.send(GET)
                assert (await other.reply())[0] == 200

    run(main())


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (GET, [b"5\r\nfirst\r\n", b"0006\r\nsecond\r\n", b"5\r\nthird\r\n", b"0\r\n\r\n"]),
        (GET_OLD, [b"first", b"second", b"third"]),
    ],
)
def test_a_chunk_that_comes_alone_leaves_in_its_own_framing_where_the_client_takes_chunks(
    asked: bytes, told: list[bytes]
):
    heard = [asyncio.Event() for _ in range(3)]

    async def spoken(one: Wire) -> None:
        one.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0005\r\nfirst\r\n")
        await heard[0].wait()
        one.send(b"0006\r\nsecond\r\n")  # alone: exactly one chunk
        await heard[1].wait()
        one.send(b"3\r\nthi\r\n2\r\nrd\r\n")  # two in one read are one piece
        await heard[2].wait()
        one.send(b"0\r\n\r\n")

    async def main() -> None:
        async with (
            upstream(spoken) as far,
            client() as near,
            served(piped(near, far)) as here,
            wire(here) as one,
        ):
            one.send(asked)
            await one.until(b"\r\n\r\n")
            for event, piece in zip([*heard, None], told, strict=False):
                assert await one.reader.readexactly(len(piece)) == piece
                if event is not None:
                    event.set()

    run(main())
