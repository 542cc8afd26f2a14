"""What the server says on the wire: keep-alive, pipelining, versions, streams, errors, limits."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import h11
import pytest

from brainrouter.http1.message import Reply, Request, Sink, StreamReply
from brainrouter.http1.server import Limits
from tests.http1.malformed import REFUSED, SERVED
from tests.http1.rig import Expected, echo, run, served, until, wire

GET = b"GET /x?y=z HTTP/1.1\r\nHost: a\r\n\r\n"
loops = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


def post(body: bytes, more: bytes = b"") -> bytes:
    return b"POST /p HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (more, len(body), body)


@loops
def test_one_connection_carries_many_requests(loop: str):
    async def main() -> None:
        async with served() as here, wire(here) as one:
            for _ in range(3):
                one.send(GET)
                assert await one.reply() == (
                    200,
                    {"content-type": "text/plain", "content-length": "11"},
                    b"GET /x?y=z ",
                )
            assert here.server.connections == 1

    run(main(), loop)


def test_the_lines_of_every_answer_are_on_streams_errors_and_refusals_too():
    async def stream(sink: Sink) -> None:
        sink.write(b"x")

    async def any_way(request: Request) -> Reply | StreamReply:
        if request.path == "/wrong":
            raise Expected
        return StreamReply(200, stream) if request.path == "/stream" else await echo(request)

    async def main() -> None:
        async with served(any_way) as here:
            here.server.lines = b"x-always: yes\r\n"
            for path, status in ((b"/x", 200), (b"/stream", 200), (b"/wrong", 500), (b"no path", 400)):
                async with wire(here) as one:
                    one.send(GET.replace(b"/x?y=z", path))
                    found = await one.reply()
                    assert (found[0], found[1]["x-always"]) == (status, "yes"), path

    run(main())


@loops
def test_a_connection_has_one_task_that_ends_with_it(loop: str):
    tasks: list[asyncio.Task[None]] = []

    async def noted(request: Request) -> Reply:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        if request.path == "/wrong":
            raise Expected
        return await echo(request)

    async def main() -> None:
        async with served(noted) as here:
            async with wire(here) as one, wire(here) as other:
                for path in (b"/a", b"/b", b"/wrong"):
                    one.send(GET.replace(b"/x", path))
                    await one.reply()
                other.send(GET)
                await other.reply()
            await until(lambda: all(task.done() for task in tasks))
        assert [task is tasks[0] for task in tasks] == [True, True, True, False]

    run(main(), loop)


@loops
def test_a_request_carries_its_peer(loop: str, tmp_path: Path):
    async def main() -> None:
        async with (
            served(unix=tmp_path / "s") as here,
            wire(here) as one,
            wire(here, over_unix=True) as other,
        ):
            one.send(GET)
            await one.reply()
            other.send(GET)
            await other.reply()
            tcp, unix = here.requests[0].peer, here.requests[1].peer
            assert (tcp.kind, tcp.host, tcp.port) == ("tcp", "127.0.0.1", one.sock.getsockname()[1])
            assert tcp.local == ("127.0.0.1", here.port)
            assert (unix.kind, unix.host, unix.port, unix.local) == ("unix", "", 0, (here.unix,))
            assert unix.socket.fileno() >= 0

    run(main(), loop)


@loops
def test_pipelined_requests_are_answered_in_order_one_after_the_other(loop: str):
    running = 0

    async def slow_first(request: Request) -> Reply:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0.02 if request.path == "/0" else 0)
        running -= 1
        return Reply(200, request.path.encode())

    async def main() -> None:
        async with served(slow_first) as here, wire(here) as one:
            one.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(40)))
            assert [(await one.reply())[2] for _ in range(40)] == [b"/%d" % n for n in range(40)]

    run(main(), loop)


def test_pipelining_beyond_all_measure_is_refused():
    async def main() -> None:
        async with served(limits=Limits(pipelined=2)) as here, wire(here) as one:
            one.send(GET * 50)
            said = await one.rest()
            assert said.count(b"HTTP/1.1 200 OK") == len(here.requests) == 17
            assert b"HTTP/1.1 400 Bad Request" in said

    run(main())


@loops
def test_a_large_body_arrives_whole_in_either_framing(loop: str):
    body = bytes(range(256)) * 12_000

    async def main() -> None:
        async with served() as here, wire(here) as one:
            one.send(post(body) + GET)
            assert (await one.reply())[2] == b"POST /p? " + body
            assert (await one.reply())[2] == b"GET /x?y=z "
            chunks = b"".join(b"%x\r\n%b\r\n" % (5000, body[n : n + 5000]) for n in range(0, 3_000_000, 5000))
            one.send(
                b"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
            )
            assert (await one.reply())[2] == b"POST /p? " + body[:3_000_000]

    run(main(), loop)


@loops
def test_a_client_that_waits_for_100_continue_gets_it_in_turn(loop: str):
    held = asyncio.Event()

    async def hold(request: Request) -> Reply:
        if request.method == "GET":
            await held.wait()
        return await echo(request)

    async def main() -> None:
        async with served(hold) as here, wire(here) as one:
            head = post(b"abc", b"Expect: 100-continue\r\n").removesuffix(b"abc")
            one.send(head)
            assert await one.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            one.send(b"abc")
            assert (await one.reply())[2] == b"POST /p? abc"
            one.send(GET + head)
            await until(lambda: here.server.in_flight == 1)
            held.set()
            first = await one.until(b"GET /x?y=z ")
            assert first.startswith(b"HTTP/1.1 200")
            assert await one.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            one.send(b"abc")
            await one.until(b"POST /p? abc")

    run(main(), loop)


def test_http_10_is_closed_after_its_answer_unless_it_asked_to_stay():
    async def main() -> None:
        async with served() as here:
            async with wire(here) as one:
                one.send(b"GET / HTTP/1.0\r\n\r\n")
                said = await one.rest()
                assert b"connection: close\r\n" in said
                assert said.endswith(b"\r\n\r\nGET /? ")
            async with wire(here) as one:
                one.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                assert b"connection: keep-alive\r\n" in await one.until(b"GET /? ")
                one.send(GET)
                await one.until(b"GET /x?y=z ")

    run(main())


@loops
def test_a_head_request_is_answered_without_the_body(loop: str):
    async def main() -> None:
        async with served() as here, wire(here) as one:
            one.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
            assert await one.reply("HEAD") == (
                200,
                {"content-type": "text/plain", "content-length": "8"},
                b"",
            )
            assert (await one.reply())[2] == b"GET /x?y=z "

    run(main(), loop)


def test_a_204_has_no_body_and_no_length():
    async def nothing(request: Request) -> Reply:
        return Reply(204)

    async def main() -> None:
        async with served(nothing) as here, wire(here) as one:
            one.send(GET)
            assert await one.until(b"\r\n\r\n") == b"HTTP/1.1 204 No Content\r\n\r\n"

    run(main())


def test_a_reply_may_close_the_connection():
    async def last(request: Request) -> Reply:
        return Reply(200, b"bye", close=True)

    async def main() -> None:
        async with served(last) as here, wire(here) as one:
            one.send(GET + GET)
            said = await one.rest()
            assert said.count(b"bye") == said.count(b"connection: close") == len(here.requests) == 1

    run(main())


async def count_up(sink: Sink) -> None:
    for number in range(3):
        sink.write(b"data: %d\n\n" % number)
        await sink.drain()
    sink.write(b"")


async def streaming(request: Request) -> StreamReply:
    return StreamReply(200, count_up, headers=(("cache-control", "no-cache"),))


@loops
def test_a_stream_is_chunked_and_the_connection_stays(loop: str):
    async def main() -> None:
        async with served(streaming) as here, wire(here) as one:
            for _ in range(2):
                one.send(GET)
                status, headers, body = await one.reply()
                assert (status, body) == (200, b"data: 0\n\ndata: 1\n\ndata: 2\n\n")
                assert headers == {
                    "content-type": "text/event-stream",
                    "cache-control": "no-cache",
                    "transfer-encoding": "chunked",
                }

    run(main(), loop)


def test_a_stream_to_http_10_ends_with_the_connection():
    async def main() -> None:
        async with served(streaming) as here, wire(here) as one:
            one.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            head, _, body = (await one.rest()).partition(b"\r\n\r\n")
            assert body == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
            assert b"chunked" not in head
            assert b"connection: close" in head

    run(main())


def test_a_stream_that_writes_nothing_is_an_empty_body():
    async def silent(sink: Sink) -> None:
        return

    async def empty(request: Request) -> StreamReply:
        return StreamReply(200, silent)

    async def main() -> None:
        async with served(empty) as here, wire(here) as one:
            one.send(GET + b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
            assert (await one.reply())[2] == b""
            assert (await one.reply("HEAD"))[2] == b""
            assert (await one.reply())[2] == b""

    run(main())


def test_large_pieces_of_a_stream_arrive_whole():
    piece = bytes(range(256)) * 400

    async def write(sink: Sink) -> None:
        for _ in range(30):
            sink.write(piece)
            await sink.drain()

    async def large(request: Request) -> StreamReply:
        return StreamReply(200, write)

    async def main() -> None:
        async with served(large) as here, wire(here) as one:
            one.send(GET)
            assert (await one.reply())[2] == piece * 30

    run(main())


@loops
def test_a_handler_that_raises_is_a_500_that_tells_nothing(loop: str):
    async def broken(request: Request) -> Reply:
        raise Expected("secret")

    async def main() -> None:
        async with served(broken) as here, wire(here) as one:
            one.send(GET)
            status, headers, body = await one.reply()
            assert (status, headers["connection"]) == (500, "close")
            assert json.loads(body)["error"] == {
                "message": "internal error",
                "type": "server_error",
                "param": None,
                "code": None,
            }
            assert await one.rest() == b""

    run(main(), loop)


def test_a_stream_that_raises_before_its_first_write_is_a_500():
    async def broken(sink: Sink) -> None:
        raise Expected

    async def start(request: Request) -> StreamReply:
        return StreamReply(200, broken)

    async def main() -> None:
        async with served(start) as here, wire(here) as one:
            one.send(GET)
            assert (await one.reply())[0] == 500

    run(main())


@loops
def test_a_stream_that_raises_after_its_first_write_never_looks_complete(loop: str):
    async def breaks(sink: Sink) -> None:
        sink.write(b"half")
        raise Expected

    async def start(request: Request) -> StreamReply:
        return StreamReply(200, breaks)

    async def main() -> None:
        async with served(start) as here:
            async with wire(here) as one:
                one.send(GET)
                with pytest.raises(h11.RemoteProtocolError, match="incomplete chunked read"):
                    await one.reply()
            async with wire(here) as one:
                one.send(b"GET / HTTP/1.0\r\n\r\n")
                with pytest.raises(ConnectionResetError):
                    await one.reader.read()

    run(main(), loop)


def test_a_header_value_that_would_start_another_line_is_a_500():
    async def splitting(request: Request) -> Reply:
        return Reply(200, headers=(("x-a", "b\r\nset-cookie: c"),))

    async def main() -> None:
        heard: list[Exception] = []
        async with served(splitting) as here, wire(here) as one:
            here.server.loop.set_exception_handler(lambda _, context: heard.append(context["exception"]))
            one.send(GET)
            assert (await one.rest()).startswith(b"HTTP/1.1 500 ")
            assert [str(error) for error in heard] == ["a header value may not hold CR, LF or NUL"]

    run(main())


def test_requests_over_the_limit_in_flight_are_told_to_come_back():
    let_go = asyncio.Event()

    async def hold(request: Request) -> Reply:
        await let_go.wait()
        return Reply(200)

    async def main() -> None:
        async with (
            served(hold, Limits(max_in_flight=2)) as here,
            wire(here) as one,
            wire(here) as two,
            wire(here) as three,
        ):
            one.send(GET)
            two.send(GET)
            await until(lambda: here.server.in_flight == 2)
            three.send(GET)
            status, headers, _ = await three.reply()
            assert (status, headers["retry-after"]) == (503, "1")
            let_go.set()
            assert (await one.reply())[0] == (await two.reply())[0] == 200
            three.send(GET)
            assert (await three.reply())[0] == 200

    run(main())


def test_connections_over_the_limit_are_refused_and_room_comes_back():
    async def main() -> None:
        async with served(limits=Limits(max_connections=1)) as here:
            async with wire(here) as one:
                one.send(GET)
                await one.reply()
                async with wire(here) as two:
                    assert (await two.rest()).startswith(b"HTTP/1.1 503")
            await until(lambda: here.server.connections == 0)
            async with wire(here) as three:
                three.send(GET)
                assert (await three.reply())[0] == 200

    run(main())


def test_bodies_held_at_once_are_bounded_over_all_connections():
    async def main() -> None:
        async with served(limits=Limits(held_bytes=100_000)) as here, wire(here) as one, wire(here) as two:
            one.send(post(b"a" * 90_000)[:-1])
            await until(lambda: here.server.held > 80_000)
            two.send(post(b"a" * 20_000))
            assert (await two.reply())[0] == 503
            one.send(b"a")
            assert (await one.reply())[0] == 200
            await until(lambda: here.server.held <= 20_000)

    run(main())


def test_a_refused_client_that_is_still_sending_can_read_why():
    async def main() -> None:
        async with served(limits=Limits(body_bytes=1000)) as here, wire(here) as one:
            one.send(post(b"a" * 5_000_000))
            status, headers, _ = await one.reply()
            assert (status, headers["connection"]) == (413, "close")
            assert here.requests == []

    run(main())


def test_a_refused_client_that_never_leaves_is_cut_after_a_while():
    async def main() -> None:
        async with served(limits=Limits(linger_s=0.05)) as here, wire(here) as one:
            one.send(b"rubbish\r\n\r\n")
            assert (await one.reply())[0] == 400
            await until(lambda: here.server.connections == 0)

    run(main())


@loops
def test_no_malformed_request_of_the_corpus_reaches_the_handler(loop: str):
    async def main() -> None:
        async with served(limits=Limits(body_bytes=100_000)) as here:
            for name, data, status in REFUSED:
                async with wire(here) as one:
                    one.send(data)
                    said = await one.rest()
                    assert said.startswith(b"HTTP/1.1 %d " % status), name
                    assert said.count(b"content-length: ") == 1, name
            assert here.requests == []
            for name, data, seen in SERVED:
                here.requests.clear()
                async with wire(here) as one:
                    one.send(data)
                    for method, _, _ in seen:
                        assert (await one.reply(method))[0] == 200, name
                assert [(r.method, r.path, r.body) for r in here.requests] == seen, name

    run(main(), loop)


def test_a_good_request_before_a_bad_one_is_answered_first():
    async def slow(request: Request) -> Reply:
        await asyncio.sleep(0.01)
        return await echo(request)

    async def main() -> None:
        async with served(slow) as here, wire(here) as one:
            one.send(GET + b"GET / HTTP/1.1\r\n\r\n" + GET)
            assert (await one.reply())[0] == 200
            assert (await one.reply())[0] == 400
            assert await one.rest() == b""
            assert len(here.requests) == 1

    run(main())


def test_the_owner_words_the_errors_of_the_server():
    async def main() -> None:
        async with served() as here, wire(here) as one:
            here.server.error_body = lambda status, message, path: (b"no: %d" % status, "text/plain")
            one.send(b"rubbish\r\n\r\n")
            status, headers, body = await one.reply()
            assert (status, headers["content-type"], body) == (400, "text/plain", b"no: 400")

    run(main())
