"""The HTTP/1.1 of the fakes is right where it means to be right."""

from __future__ import annotations

import h11
import pytest

from tests.sim import scripts
from tests.sim.handle import SimUpstream
from tests.sim_tests.wire import ask, chat, connect, read_all, read_until, request

CHAT = "/v1/chat/completions"


def whole_answer(connection: h11.Connection, data: bytes) -> tuple[int, bytes]:
    """Status and body, as a strict parser reads them."""
    connection.receive_data(data)
    status, body = 0, b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return status, body
        elif event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
            raise AssertionError("the answer is not whole")


@pytest.mark.parametrize("stream", [False, True])
def test_a_strict_parser_accepts_both_framings(upstream: SimUpstream, stream: bool) -> None:
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method="POST", target=CHAT, headers=[("host", "sim"), ("content-length", "0")]))
    parser.send(h11.EndOfMessage())
    status, body = whole_answer(parser, ask(upstream.port, CHAT, chat(stream=stream)))
    assert status == 200
    assert b"Hello" in body


def test_a_connection_serves_many_requests_and_pipelined_ones(upstream: SimUpstream) -> None:
    with connect(upstream.port) as sock:
        sock.sendall(request(CHAT, chat()) * 2)
        sock.sendall(request(CHAT, chat(), headers={"connection": "close"}))
        assert read_all(sock).count(b"HTTP/1.1 200 OK") == 3
    assert {entry["connection"] for entry in upstream.requests()} == {upstream.accepted()}


def test_a_chunked_body_is_read_and_marked_as_such(upstream: SimUpstream) -> None:
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n".encode()
    )
    with connect(upstream.port) as sock:
        sock.sendall(head + b'7\r\n{"model\r\n5;x=y\r\n":"m"\r\n1\r\n}\r\n0\r\n\r\n')
        assert b" 200 " in read_all(sock)
    entry = upstream.requests()[0]
    assert entry["chunked"]
    assert entry["body"] == {"model": "m"}


def test_a_body_that_waits_for_a_continue_gets_one(upstream: SimUpstream) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n".encode()
    with connect(upstream.port) as sock:
        sock.sendall(head)
        assert read_until(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 100 Continue")
        sock.sendall(b"{}")
        assert read_until(sock, b"Hello").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: +1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nbad name: y\r\n\r\n",
    ],
)
def test_an_ambiguous_request_is_refused_and_never_logged(upstream: SimUpstream, head: bytes) -> None:
    with connect(upstream.port) as sock:
        sock.sendall(head)
        assert read_all(sock).startswith(b"HTTP/1.1 400")
    assert upstream.requests() == []


def test_leaving_is_noted_with_its_moment(upstream: SimUpstream) -> None:
    upstream.script(scripts.silence())
    with connect(upstream.port) as sock:
        sock.sendall(request(CHAT, chat()))
        upstream.wait_requests(1)
    entry = upstream.wait_closed_early(1)[0]
    assert entry["outcome"] == "left"
    assert entry["closed_early"] >= entry["received"]
    assert upstream.wait_open_at_most(0) == 0


def test_an_answer_that_was_taken_whole_is_not_closed_early(upstream: SimUpstream) -> None:
    ask(upstream.port, CHAT, chat(stream=True))
    assert upstream.wait_finished(1)[0]["closed_early"] is None


def test_an_endless_stream_waits_for_a_reader_that_pauses(upstream: SimUpstream) -> None:
    upstream.script(scripts.endless(size=1 << 16))
    with connect(upstream.port) as sock:
        sock.sendall(request(CHAT, chat(stream=True)))
        upstream.wait_requests(1)
        read_until(sock, b"xxx")
        sent = -1
        while sent != (sent := upstream.requests()[0]["sent_bytes"]):
            upstream.control("GET", "/__wait?what=requests&n=2&timeout_s=0.1")
        assert 0 < sent < 32 << 20
    upstream.wait_closed_early(1)
