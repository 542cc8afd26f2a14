"""The upstream client: every framing, every way to break it, and who may reuse a connection."""

from __future__ import annotations

import asyncio
import ssl
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.http1.client import Client, Origin, Response
from brainrouter.http1.errors import Broken, ConnectFailed, HeadTimeout, IdleTimeout, TooLarge, UpstreamError
from brainrouter.http1.known_answer import KnownAnswers
from brainrouter.http1.message import Body
from brainrouter.http1.response_reader import ResponseReader
from tests.http1.rig import Script, Upstream, Wire, bound, client, hear, run, served, until, upstream

loops = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


def says(data: bytes, *, then_close: bool = False, step: int = 1 << 20) -> Script:
    """An upstream that answers each request on a connection with these bytes."""

    async def script(one: Wire) -> None:
        while True:
            for at in range(0, len(data), step):
                one.send(data[at : at + step])
                await one.writer.drain()
                if step < len(data):
                    await asyncio.sleep(0)
            if then_close:
                return
            await hear(one)

    return script


async def ask(near: Client, far: Upstream, method: str = "POST", body: Body = b"") -> Response:
    return await near.request(far.origin, method, "/v1/x?y", [(b"x-a", b"b")], body, first_byte_s=5)


async def read(response: Response, how: str, got: list[bytes] | None = None, idle_s: float = 5) -> bytes:
    """The body, one of three ways; the response is closed. `got` keeps what came before an error."""
    pieces: list[bytes] = [] if got is None else got
    try:
        if how == "read":
            return await response.read(1 << 24, idle_s)
        if how == "pipe":
            await response.pipe(lambda data, _framed: pieces.append(data), None, idle_s)
        else:
            while data := await response.chunk(idle_s):
                pieces.append(data)
        return b"".join(pieces)
    finally:
        response.close()


async def ask_and_read(near: Client, far: Upstream) -> bytes:
    return await read(await ask(near, far), "read")


LARGE = bytes(range(256)) * 4000
WHOLE: list[tuple[str, bytes, int, bytes, bool]] = [  # name, bytes, status, body, is the connection kept
    ("length", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, b"abc", True),
    ("no reason phrase", b"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc", 200, b"abc", True),
    ("empty", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b"", True),
    ("chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 200, b"abcde", True),
    ("trailers", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n0\r\nX: y\r\n\r\n", 200, b"a", True),
    ("204", b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    ("304 with a length", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", 304, b"", True),
    ("interim heads", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
     b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", 200, b"a", True),
    ("a redirect", b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 301, b"", True),
    ("an error", b"HTTP/1.1 503 No\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}", 503, b"{}", True),
    ("large", b"HTTP/1.1 200 OK\r\nContent-Length: 1024000\r\n\r\n" + LARGE, 200, LARGE, True),
    ("connection close", b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", 200, b"abc", False),
    ("HTTP/1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, b"abc", False),
    ("HTTP/1.0 staying", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc", 200, b"abc", True),
    ("bytes too many", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", 200, b"abc", False),
    ("a second answer", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 2, 200, b"", False),
    ("a body on 204", b"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\nabc", 204, b"", False),
]  # fmt: skip


@pytest.mark.parametrize("step", [1 << 20, 1], ids=["at once", "byte by byte"])
@pytest.mark.parametrize(("name", "data", "status", "body", "kept"), WHOLE, ids=[case[0] for case in WHOLE])
def test_a_whole_answer_is_read_in_any_slicing(
    name: str, data: bytes, status: int, body: bytes, kept: bool, step: int
):
    reader = ResponseReader(KnownAnswers())
    reader.restart(head_only=False)
    got = b""
    for at in range(0, len(data), step if len(data) < 100_000 else max(step, 1000)):
        reader.feed(data[at : at + (step if len(data) < 100_000 else max(step, 1000))])
        got += b"".join(reader.parts)
        reader.parts.clear()
    assert (reader.status, got, reader.complete, reader.reusable) == (status, body, True, kept)


@loops
@pytest.mark.parametrize("how", ["read", "chunk", "pipe"])
def test_every_framing_is_read_every_way_and_only_clean_connections_are_kept(loop: str, how: str):
    async def main() -> None:
        for name, data, status, body, kept in WHOLE:
            async with upstream(says(data)) as far, client() as near:
                response = await ask(near, far)
                assert (response.status, await read(response, how)) == (status, body), name
                response = await ask(near, far)
                assert (response.status, await read(response, how)) == (status, body), name
                assert far.connections == (1 if kept else 2), name
                if not kept:
                    await until(lambda near=near: near.connections == 0)

    run(main(), loop)


@loops
@pytest.mark.parametrize("how", ["read", "chunk", "pipe"])
def test_a_body_without_a_length_ends_with_the_connection(loop: str, how: str):
    async def main() -> None:
        async with (
            upstream(says(b"HTTP/1.1 200 OK\r\n\r\n" + LARGE, then_close=True)) as far,
            client() as near,
        ):
            assert await read(await ask(near, far), how) == LARGE
            await until(lambda: near.connections == 0)

    run(main(), loop)


@loops
def test_the_request_is_written_as_asked(loop: str):
    async def main() -> None:
        async with upstream(says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as far, client() as near:
            for method, body in (("POST", b"abc"), ("POST", b""), ("GET", b""), ("POST", LARGE)):
                await read(await ask(near, far, method, body), "read")
            start = f"/v1/x?y HTTP/1.1\r\nhost: 127.0.0.1:{far.origin.port}\r\n".encode()
            assert far.heads[0] == b"POST " + start + b"content-length: 3\r\nx-a: b\r\n\r\nabc"
            far.heads.clear()

    run(main(), loop)


def test_a_head_request_expects_no_body_and_keeps_the_connection():
    async def main() -> None:
        async with served() as here, client() as near:
            for _ in range(3):
                response = await near.request(here.origin, "HEAD", "/", [], first_byte_s=5)
                assert response.headers.get("content-type") == "text/plain"
                assert await response.read(100, idle_s=5) == b""
                response.close()
            response = await near.request(here.origin, "GET", "/", [], first_byte_s=5)
            assert await read(response, "read") == b"GET /? "
            assert near.connections == 1

    run(main())


BROKEN: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("half a head", b"HTTP/1.1 200 OK\r\nContent-"),
    ("only interim", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ("a short body", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
    ("a chunked body without its end", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
    ("half a chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc"),
    ("a bad chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    ("not HTTP", b"SSH-2.0-OpenSSH\r\n"),
    ("HTTP/2", b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("status 20", b"HTTP/1.1 20\r\n\r\n"),
    ("status 999", b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n"),
    ("switching protocols", b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc"),
    ("length and chunked", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
    ("gzip transfer-encoding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc"),
    ("gzip, chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("bare LF", b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc"),
    ("a head of 70 KB", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n"),
    ("a head of 70 KB of one name", b"HTTP/1.1 200 OK\r\n" + b"X: aaaa\r\n" * 8000 + b"Content-Length: 0\r\n\r\n"),
    ("a head without end", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 700_000),
    ("interim heads without end", b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000),
    ("trailers without end", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 700_000),
]  # fmt: skip


@loops
def test_a_broken_answer_is_told_as_such_and_its_connection_closed(loop: str):
    async def main() -> None:
        for name, data in BROKEN:
            async with upstream(says(data, then_close=True)) as far, client() as near:
                with pytest.raises(Broken):
                    pytest.fail(f"{name}: {await ask_and_read(near, far)!r}")
                await until(lambda near=near: near.connections == 0)
                assert far.connections == 1, name

    run(main(), loop)


@loops
@pytest.mark.parametrize("how", ["chunk", "pipe"])
def test_what_came_before_the_break_is_given_first(loop: str, how: str):
    async def main() -> None:
        data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n"
        async with upstream(says(data)) as far, client() as near:
            response = await ask(near, far)
            got: list[bytes] = []
            with pytest.raises(Broken):
                await read(response, how, got)
            assert got == [b"abc"]

    run(main(), loop)


@loops
@pytest.mark.parametrize("how", ["read", "chunk", "pipe"])
def test_a_reset_in_the_body_is_broken_in_every_framing(loop: str, how: str):
    async def main() -> None:
        for framing in (b"Content-Length: 9\r\n", b"Transfer-Encoding: chunked\r\n", b""):

            async def cut(one: Wire, framing: bytes = framing) -> None:
                one.send(b"HTTP/1.1 200 OK\r\n%b\r\n" % framing)
                await asyncio.sleep(0.02)
                one.sock.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")
                one.reset()

            async with upstream(cut) as far, client() as near:
                with pytest.raises(Broken):
                    await read(await ask(near, far), how)

    run(main(), loop)


async def silent(one: Wire) -> None:
    await asyncio.Event().wait()


async def silent_body(one: Wire) -> None:
    one.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await asyncio.Event().wait()


async def dripping_head(one: Wire) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
        one.send(bytes([byte]))
        await asyncio.sleep(0.01)


@loops
@pytest.mark.parametrize("script", [silent, dripping_head])
def test_a_head_that_does_not_come_in_time_is_a_head_timeout(loop: str, script: Script):
    async def main() -> None:
        async with upstream(script) as far, client() as near:
            with pytest.raises(HeadTimeout):
                await near.request(far.origin, "GET", "/", [], first_byte_s=0.1)
            await until(lambda: near.connections == 0)

    run(main(), loop)


@loops
@pytest.mark.parametrize("how", ["read", "chunk", "pipe"])
def test_a_body_that_stands_still_is_an_idle_timeout(loop: str, how: str):
    async def main() -> None:
        async with upstream(silent_body) as far, client() as near:
            response = await ask(near, far)
            with pytest.raises(IdleTimeout):
                await read(response, how, idle_s=0.1)
            await until(lambda: near.connections == 0)

    run(main(), loop)


def test_a_slow_but_steady_body_is_no_idle_timeout():
    async def steady(one: Wire) -> None:
        one.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
        for _ in range(20):
            await asyncio.sleep(0.05)
            one.send(b"a")

    async def main() -> None:
        async with upstream(steady) as far, client() as near:
            response = await ask(near, far)
            assert await response.read(100, idle_s=0.3) == b"a" * 20
            response.close()

    run(main())


def test_a_reader_that_takes_its_time_is_no_idle_timeout():
    async def main() -> None:
        async with (
            upstream(says(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")) as far,
            client() as near,
        ):
            response = await near.request(far.origin, "GET", "/", [], first_byte_s=0.05)
            await asyncio.sleep(0.4)
            assert await response.read(100, idle_s=0.05) == b"abc"
            response.close()

    run(main())


@pytest.mark.parametrize("framing", [b"Content-Length: 1024000", b"X: y"], ids=["announced", "not announced"])
def test_a_body_over_the_readers_limit_is_too_large(framing: bytes):
    async def main() -> None:
        data = b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % framing + LARGE
        async with upstream(says(data, then_close=True)) as far, client() as near:
            response = await ask(near, far)
            with pytest.raises(TooLarge):
                await response.read(100_000, idle_s=5)
            response.close()
            await until(lambda: near.connections == 0)

    run(main())


def test_nothing_that_listens_is_connect_failed():
    async def main() -> None:
        sock = bound()
        port = sock.getsockname()[1]
        sock.close()
        async with client() as near:
            for origin in (Origin("http", "127.0.0.1", port), Origin("http", "no-such-host.invalid", 80)):
                with pytest.raises(ConnectFailed, match="no connection to"):
                    await near.request(origin, "GET", "/", [], first_byte_s=5)

    run(main())


def test_a_listener_that_never_accepts_is_connect_failed_in_time(tmp_path: Path):
    async def main() -> None:
        sock = bound()
        sock.listen(0)
        fillers = [bound() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
        async with client(connect_s=0.1) as near:
            with pytest.raises(ConnectFailed, match=r"in 0\.1 s"):
                await near.request(Origin("http", *sock.getsockname()), "GET", "/", [], first_byte_s=5)
        for one in (sock, *fillers):
            one.close()

    run(main())


def test_tls_to_a_server_that_speaks_none_or_has_no_good_certificate_is_connect_failed():
    async def main() -> None:
        async with served() as here, client() as near:
            with pytest.raises(ConnectFailed):
                await near.request(Origin("https", "127.0.0.1", here.port), "GET", "/", [], first_byte_s=5)
            assert here.requests == []

    run(main())


def test_an_upstream_on_a_unix_socket_is_reached(tmp_path: Path):
    async def main() -> None:
        async with served(unix=tmp_path / "s") as here, client() as near:
            origin = Origin("http", "localhost", 80, unix=here.unix)
            response = await near.request(origin, "GET", "/", [], first_byte_s=5)
            assert await read(response, "read") == b"GET /? "
            assert here.requests[0].peer.kind == "unix"

    run(main())


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/a b", []),
        ("GET", "/\r\nx: y", []),
        ("GET", "a", []),
        ("GET", "", []),
        ("GET /", "/", []),
        ("GET", "/", [(b"x", b"a\r\nb: c")]),
        ("GET", "/", [(b"x\n", b"a")]),
        ("GET", "/", [(b"x", b"a\0")]),
        ("POST", "/", [(b"Content-Length", b"3")]),
        ("POST", "/", [(b"Transfer-Encoding", b"chunked")]),
        ("POST", "/", [(b"host", b"b")]),
    ],
)
def test_what_would_break_the_framing_of_a_request_is_refused_before_it_is_sent(
    method: str, path: str, headers: list[tuple[bytes, bytes]]
):
    async def main() -> None:
        async with served() as here, client() as near:
            with pytest.raises(ValueError, match="framing"):
                await near.request(here.origin, method, path, headers, first_byte_s=5)
            assert near.connections == 0

    run(main())


def test_what_the_receiver_of_a_pipe_raises_ends_the_exchange_and_is_raised():
    def refuse(data: bytes, _framed: bytes) -> None:
        raise KeyError(data)

    async def main() -> None:
        async with upstream(silent_body) as far, client() as near:
            response = await ask(near, far)
            with pytest.raises(KeyError):
                await response.pipe(refuse, None, idle_s=5)
            response.close()
            await until(lambda: near.connections == 0)

    run(main())


@given(st.binary(max_size=600), st.integers(1, 60))
def test_rubbish_from_an_upstream_is_broken_or_waited_for_but_nothing_else_is_raised(data: bytes, step: int):
    for start in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        reader = ResponseReader(KnownAnswers())
        stream = start + data
        try:
            for at in range(0, len(stream), step):
                reader.feed(stream[at : at + step])
        except UpstreamError:
            pass


@loops
def test_a_tls_upstream_with_a_good_certificate_is_reached_and_its_connection_kept(loop: str, tmp_path: Path):
    pytest.importorskip("cryptography")
    context, trusted = certificate(tmp_path)

    async def main() -> None:
        ok = says(b"HTTP/1.1 200 OK\r\nContent-Length: 1024000\r\n\r\n" + LARGE)
        async with upstream(ok, tls=context) as far:
            async with client(tls=trusted) as near:
                for _ in range(2):
                    assert await read(await ask(near, far, body=LARGE), "pipe") == LARGE
                assert (near.connections, far.connections) == (1, 1)
            async with client() as near:
                with pytest.raises(ConnectFailed, match="certificate"):
                    await ask(near, far)

    run(main(), loop)


@loops
@pytest.mark.parametrize("secret", [False, True])
def test_a_body_in_pieces_leaves_as_one(loop: str, secret: bool, tmp_path: Path):
    context, trusted = certificate(tmp_path) if secret else (None, None)
    pieces = (b'{"model":"auto"', memoryview(LARGE), b"}")

    async def main() -> None:
        async with upstream(says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), tls=context) as far:
            async with client(tls=trusted) as near:
                assert await read(await ask(near, far, body=pieces), "pipe") == b"ok"
            head, _, body = far.heads[0].partition(b"\r\n\r\n")
            assert body == b"".join(pieces)
            assert b"content-length: %d" % len(body) in head

    run(main(), loop)


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a fresh certificate for 127.0.0.1, and a client's that trusts it."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(
        now + datetime.timedelta(1)
    )
    cert = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    pem = cert.public_bytes(serialization.Encoding.PEM)
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "both.pem").write_bytes(pem + secret)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "both.pem")
    return server, ssl.create_default_context(cadata=pem.decode())


@pytest.mark.parametrize(
    "line", [b"0x3", b"+3", b" 3", b"3 ", b"3;a", b"3_0", b"", b"00000003", b"g", b"4", b"2"]
)
def test_a_size_line_that_is_not_plain_is_left_to_the_parser(line: bytes):
    reader = ResponseReader(KnownAnswers())
    reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    assert reader.one_chunk(b"3\r\ndef\r\n") == b"def"
    assert reader.one_chunk(line + b"\r\ndef\r\n") == b""


def test_a_chunk_is_taken_whole_only_between_two_chunks():
    reader = ResponseReader(KnownAnswers())
    reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc")
    assert reader.one_chunk(b"1\r\nd\r\n") == b""
    reader.feed(b"1\r\nd\r\n\r\n")
    assert reader.parts == [b"abc", b"1\r\nd\r\n"]
    assert reader.one_chunk(b"1\r\nd\r\n") == b"d"


def test_a_head_is_as_long_as_it_is_in_one_read_too():
    lines = b"HTTP/1.1 200 OK\r\n" + b"X: aaaa\r\n" * 7000
    end = b"Content-Length: 100000\r\n\r\n"
    body = b"b" * 100_000
    reader = ResponseReader(KnownAnswers())
    reader.feed(lines + end + body)
    assert (reader.headers, reader.announced) == ({"x": "aaaa"}, 100_000)
    assert (b"".join(reader.parts), reader.complete, reader.reusable) == (body, True, True)
    with pytest.raises(Broken, match="head"):
        ResponseReader(KnownAnswers()).feed(lines + b"X: aaaa\r\n" * 1000 + end + body)


def test_what_is_no_chunk_is_not_remembered():
    reader = ResponseReader(KnownAnswers())
    reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nd\r\n")
    tracemalloc.start()
    try:
        for number in range(100):
            assert reader.one_chunk(b"%d" % number + b"x" * 100_000) == b""
            assert reader.one_chunk(b"%d" % number + b"y" * 100_000 + b"\r\nd\r\n") == b""
        assert tracemalloc.get_traced_memory()[0] < 200_000
    finally:
        tracemalloc.stop()
