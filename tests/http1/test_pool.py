"""Which connection carries a request: a kept one, a fresh one, and what cancelling leaves behind."""

from __future__ import annotations

import asyncio

import pytest

from brainrouter.http1.client import Client, Origin
from brainrouter.http1.errors import Broken, UpstreamError
from tests.http1.rig import Upstream, Wire, client, hear, piped, run, served, until, upstream, wire

loops = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def once(one: Wire) -> None:
    """Answers one request, stays a little, and closes like a server whose keep-alive time ended."""
    one.send(OK)
    await one.writer.drain()


async def always(one: Wire) -> None:
    while True:
        one.send(OK)
        await hear(one)


async def deaf_to_the_second(one: Wire) -> None:
    """Takes a second request and closes without a word: what a server does that closed while it was on its way."""
    one.send(OK)
    await hear(one)


async def ask(near: Client, far: Upstream) -> bytes:
    response = await near.request(far.origin, "POST", "/", [], b"x", first_byte_s=5)
    try:
        return await response.read(100, idle_s=5)
    finally:
        response.close()


@loops
def test_a_connection_is_used_again_after_its_answer_was_read(loop: str):
    async def main() -> None:
        async with upstream(always) as far, client() as near:
            for _ in range(20):
                assert await ask(near, far) == b"ok"
            assert (far.connections, near.connections) == (1, 1)

    run(main(), loop)


def test_no_more_connections_are_kept_than_allowed():
    async def main() -> None:
        async with upstream(always) as far, client(max_idle_per_origin=3) as near:
            assert await asyncio.gather(*(ask(near, far) for _ in range(10))) == [b"ok"] * 10
            await until(lambda: near.connections == 3)

    run(main())


def test_a_kept_connection_is_closed_after_the_idle_time():
    async def main() -> None:
        async with upstream(always) as far, client(idle_s=0.05) as near:
            await ask(near, far)
            assert near.connections == 1
            await until(lambda: near.connections == 0)

    run(main())


@loops
def test_a_connection_that_the_upstream_closed_is_dropped_from_the_pool(loop: str):
    async def main() -> None:
        async with upstream(once) as far, client() as near:
            for turn in range(3):
                assert await ask(near, far) == b"ok"
                await until(lambda: near.connections == 0)
                assert far.connections == turn + 1

    run(main(), loop)


@loops
def test_a_request_on_a_stale_connection_goes_again_on_a_fresh_one(loop: str):
    async def main() -> None:
        async with upstream(deaf_to_the_second, always) as far, client() as near:
            assert await ask(near, far) == b"ok"
            assert await ask(near, far) == b"ok"
            assert far.connections == 2

    run(main(), loop)


def test_a_request_on_a_fresh_connection_never_goes_twice():
    async def deaf(one: Wire) -> None:
        return

    async def main() -> None:
        async with upstream(deaf) as far, client() as near:
            with pytest.raises(Broken):
                await ask(near, far)
            assert far.connections == 1

    run(main())


@loops
def test_an_upstream_that_hangs_up_on_connecting_is_broken_and_leaves_nothing(loop: str):
    class HangUp(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.abort()  # type: ignore[attr-defined]

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(HangUp, "127.0.0.1", 0)
        origin = Origin("http", "127.0.0.1", server.sockets[0].getsockname()[1])
        async with client() as near:
            for _ in range(30):
                with pytest.raises(UpstreamError):
                    await near.request(origin, "GET", "/", [], first_byte_s=5)
            await until(lambda: near.connections == 0)
        server.close()

    run(main(), loop)


def test_a_request_never_goes_twice_once_a_byte_of_its_answer_came():
    async def half(one: Wire) -> None:
        one.send(OK)
        await hear(one)
        one.send(b"HTTP/1.1 2")

    async def main() -> None:
        async with upstream(half, always) as far, client() as near:
            await ask(near, far)
            with pytest.raises(Broken):
                await ask(near, far)
            assert far.connections == 1

    run(main())


def test_bytes_on_an_idle_connection_close_it():
    async def babbling(one: Wire) -> None:
        one.send(OK)
        await asyncio.sleep(0.05)
        one.send(OK)
        await asyncio.Event().wait()

    async def main() -> None:
        async with upstream(babbling) as far, client() as near:
            assert await ask(near, far) == b"ok"
            await until(lambda: near.connections == 0)

    run(main())


@loops
def test_closing_before_the_end_cuts_the_upstream_at_once_and_twice_is_fine(loop: str):
    gone = asyncio.Event()

    async def endless(one: Wire) -> None:
        one.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await one.rest()
        gone.set()

    async def main() -> None:
        async with upstream(endless) as far, client() as near:
            response = await near.request(far.origin, "GET", "/", [], first_byte_s=5)
            assert await response.chunk(idle_s=5) == b"abc"
            response.close()
            response.close()
            await gone.wait()
            await until(lambda: near.connections == 0)
            with pytest.raises(Broken, match="closed"):
                await response.chunk(idle_s=5)

    run(main(), loop)


@loops
@pytest.mark.parametrize("where", ["connect", "head", "read", "chunk", "pipe"])
def test_cancelling_at_any_wait_leaves_nothing_behind(loop: str, where: str):
    async def stuck(one: Wire) -> None:
        if where != "head":
            one.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await asyncio.Event().wait()

    async def use(near: Client, far: Upstream) -> None:
        response = await near.request(far.origin, "GET", "/", [], first_byte_s=5)
        try:
            if where == "read":
                await response.read(100, idle_s=5)
            if where == "pipe":
                await response.pipe(lambda _data, _framed: None, None, idle_s=5)
            await response.chunk(idle_s=5)
        finally:
            response.close()

    async def main() -> None:
        async with upstream(stuck) as far, client() as near:
            task = asyncio.get_running_loop().create_task(use(near, far))
            if where == "connect":
                await asyncio.sleep(0)
            else:
                await until(lambda: len(far.heads) == 1)
                await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: near.connections == 0)
            assert near._idle.get(far.origin.key, []) == []

    run(main(), loop)


def test_closing_the_client_ends_what_is_under_way():
    async def stuck(one: Wire) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        async with upstream(stuck) as far, client() as near:
            task = asyncio.get_running_loop().create_task(ask(near, far))
            await until(lambda: len(far.heads) == 1)
            await near.close()
            with pytest.raises(Broken):
                await task

    run(main())


@loops
@pytest.mark.parametrize("leave", [Wire.close, Wire.reset])
def test_through_a_proxy_the_upstream_is_cut_when_the_client_leaves(loop: str, leave: object):
    gone = asyncio.Event()

    async def endless(one: Wire) -> None:
        one.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await one.rest()
        gone.set()

    async def main() -> None:
        async with (
            upstream(endless) as far,
            client() as near,
            served(piped(near, far)) as here,
            wire(here) as one,
        ):
            one.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await one.until(b"abc\r\n")
            leave(one)  # type: ignore[operator]
            async with asyncio.timeout(0.5):
                await gone.wait()
                await until(lambda: near.connections == 0 and here.server.in_flight == 0)

    run(main(), loop)
