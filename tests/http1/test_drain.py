"""The end of a server: nothing new, what runs may finish, then everything is cut."""

from __future__ import annotations

import asyncio
from pathlib import Path

import h11
import pytest

from brainrouter.http1.message import Reply, Request, Sink, StreamReply
from tests.http1.rig import run, served, until, wire

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
loops = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


@loops
def test_a_drained_server_finishes_what_runs_and_says_close(loop: str):
    let_go = asyncio.Event()

    async def hold(request: Request) -> Reply:
        await let_go.wait()
        return Reply(200, b"done")

    async def main() -> None:
        async with served(hold) as here, wire(here) as idle, wire(here) as busy:
            busy.send(GET)
            await until(lambda: here.server.in_flight == 1 and here.server.connections == 2)
            draining = asyncio.get_running_loop().create_task(here.server.drain(grace_s=5))
            assert await idle.rest() == b""
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", here.port)
            let_go.set()
            status, headers, body = await busy.reply()
            assert (status, headers["connection"], body) == (200, "close", b"done")
            await draining
            assert here.server.connections == 0

    run(main(), loop)


@loops
def test_what_does_not_finish_in_the_grace_is_cut_and_its_handler_cancelled(loop: str, tmp_path: Path):
    cancelled = asyncio.Event()

    async def forever(request: Request) -> StreamReply:
        async def produce(sink: Sink) -> None:
            sink.write(b"first")
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        return StreamReply(200, produce)

    async def main() -> None:
        async with served(forever, unix=tmp_path / "s") as here, wire(here, over_unix=True) as one:
            one.send(GET)
            await one.until(b"first")
            await here.server.drain(grace_s=0.05)
            assert cancelled.is_set()
            assert (here.server.connections, here.server.in_flight) == (0, 0)
            with pytest.raises((h11.RemoteProtocolError, ConnectionError)):
                await one.reply()

    run(main(), loop)


def test_draining_an_idle_server_returns_at_once_and_twice_is_fine():
    async def main() -> None:
        async with served() as here:
            await here.server.drain(grace_s=5)
            await here.server.drain(grace_s=5)

    run(main())
