"""What is a request and what is not: a corpus of raw bytes, h11 as a second opinion, and any slicing of valid ones."""

from __future__ import annotations

from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.http1.errors import Refused
from brainrouter.http1.known_head import KnownHeads
from brainrouter.http1.limits import Limits
from brainrouter.http1.message import Peer, Request
from brainrouter.http1.request_reader import RequestReader
from tests.http1.malformed import BEYOND_H11, REFUSED, SERVED

LIMITS = Limits(body_bytes=100_000)


class Reading:
    """A reader and everything that it said."""

    def __init__(self, limits: Limits = LIMITS, heads: KnownHeads | None = None) -> None:
        self.requests: list[Request] = []
        self.expected = 0
        self.held = 0
        self.room = True
        self.refused: Refused | None = None
        peer = Peer("tcp", "", 0, None, ())
        self.reader = RequestReader(limits, peer, self.deliver, self.expect, self.hold, heads or KnownHeads())

    def deliver(self, request: Request, keep: bool, old: bool) -> bool:
        self.requests.append(request)
        return True

    def expect(self) -> None:
        self.expected += 1

    def hold(self, size: int) -> bool:
        self.held += size
        return self.room

    def feed(self, data: bytes, step: int = 1 << 20) -> int:
        """The status of the refusal, or 0."""
        try:
            for at in range(0, len(data), step):
                self.reader.feed(data[at : at + step])
        except Refused as refused:
            self.refused = refused
            return refused.status
        return 0

    def seen(self) -> list[tuple[str, str, bytes]]:
        return [(request.method, request.path, request.body) for request in self.requests]


def refused_by_h11(data: bytes) -> bool:
    peer = h11.Connection(h11.SERVER, max_incomplete_event_size=32 * 1024)
    peer.receive_data(data)
    try:
        while True:
            event = peer.next_event()
            if event is h11.PAUSED:
                peer.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                peer.send(h11.EndOfMessage())
                peer.start_next_cycle()
            elif event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
                return False
    except (h11.RemoteProtocolError, h11.LocalProtocolError):
        return True


def test_the_corpus_is_large_enough_and_names_each_case_once():
    names = [name for name, *_ in REFUSED]
    assert len(names) >= 60
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("step", [1, 7, 1 << 20], ids=["byte by byte", "by sevens", "at once"])
@pytest.mark.parametrize(("name", "data", "status"), REFUSED, ids=[name for name, *_ in REFUSED])
def test_a_malformed_request_is_refused_and_never_delivered(name: str, data: bytes, status: int, step: int):
    reading = Reading()
    assert reading.feed(data, step) == status
    assert reading.seen() == []


@pytest.mark.parametrize("step", [1, 7, 1 << 20], ids=["byte by byte", "by sevens", "at once"])
@pytest.mark.parametrize(("name", "data", "seen"), SERVED, ids=[name for name, *_ in SERVED])
def test_its_well_formed_twin_is_delivered(
    name: str, data: bytes, seen: list[tuple[str, str, bytes]], step: int
):
    reading = Reading()
    assert reading.feed(data, step) == 0
    assert reading.seen() == seen
    assert not reading.reader.partial
    assert reading.held == sum(len(body) for *_, body in seen)


@pytest.mark.parametrize(("name", "data"), [case[:2] for case in REFUSED], ids=[name for name, *_ in REFUSED])
def test_whatever_h11_refuses_is_refused_here_and_the_rest_is_stricter_on_purpose(name: str, data: bytes):
    assert refused_by_h11(data) is (name not in BEYOND_H11)


@pytest.mark.parametrize(("name", "data"), [case[:2] for case in SERVED], ids=[name for name, *_ in SERVED])
def test_what_is_served_here_is_well_formed_to_h11_too(name: str, data: bytes):
    assert not refused_by_h11(data) or name in {
        "blank lines before",  # RFC 9112 2.2: to be ignored
        "after close nothing counts",
    }


def test_a_refusal_comes_after_the_requests_before_it():
    reading = Reading()
    assert reading.feed(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\n\r\n") == 400
    assert reading.seen() == [("GET", "/1", b"")]


def test_an_expectation_is_told_once_and_only_when_a_body_follows():
    reading = Reading()
    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
    assert reading.feed(head + b"Content-Length: 3\r\n\r\n") == 0
    assert (reading.expected, reading.seen()) == (1, [])
    assert reading.feed(b"abc" + head + b"\r\n") == 0
    assert (reading.expected, len(reading.seen())) == (1, 2)


def test_a_second_head_over_the_limit_in_the_same_read_is_refused_too():
    reading = Reading()
    first = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
    second = b"GET /2 HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 33_000 + b"\r\n\r\n"
    assert reading.feed(first + second) == 431
    assert reading.seen() == [("GET", "/1", b"")]


def test_a_body_in_tiny_chunks_is_put_together():
    reading = Reading()
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert reading.feed(head + b"2\r\nab\r\n" * 5000 + b"0\r\n\r\n") == 0
    assert reading.requests[0].body == b"ab" * 5000


def test_headers_are_found_by_lower_case_name_first_value_wins_and_order_is_kept():
    reading = Reading()
    reading.feed(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a: 2\r\nB: \xe9 \r\n\r\n")
    headers = reading.requests[0].headers
    assert (headers.get("x-a"), headers.count("x-a"), headers.get("b"), headers.get("c")) == (
        "1",
        2,
        "é",
        None,
    )
    assert headers.items() == [(b"host", b"a"), (b"x-a", b"1"), (b"x-a", b"2"), (b"b", b"\xe9")]
    assert "1" not in repr(headers)


def test_the_one_name_with_an_underscore_that_a_harness_sends_is_taken():
    reading = Reading()
    reading.feed(b"GET / HTTP/1.1\r\nHost: a\r\nSession_Id: 0197-abc\r\n\r\n")
    assert reading.requests[0].headers.get("session_id") == "0197-abc"


def test_the_query_is_split_off_and_nothing_is_decoded():
    reading = Reading()
    reading.feed(b"GET /a%20b?c=%2F?d HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (reading.requests[0].path, reading.requests[0].query) == ("/a%20b", "c=%2F?d")


token = st.text("abcXYZ-019", min_size=1, max_size=8).map(lambda name: b"X-" + name.encode())
value = st.binary(max_size=30).map(lambda raw: bytes(b for b in raw if b >= 0x20 and b != 0x7F).strip())


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One valid request, framed one way or another."""
    method = draw(st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE"]))
    path = draw(st.text("abc/%20?=&", max_size=20)).encode()
    lines = b"".join(
        name + b": " + text + b"\r\n" for name, text in draw(st.lists(st.tuples(token, value), max_size=5))
    )
    body = draw(st.binary(max_size=300))
    head = method + b" /" + path + b" HTTP/1.1\r\nHost: a\r\n" + lines
    framing = draw(st.sampled_from(["none", "length", "chunked"]))
    if framing == "none":
        return head + b"\r\n"
    if framing == "length":
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    cut = draw(st.integers(0, len(body)))
    chunks = [piece for piece in (body[:cut], body[cut:]) if piece]
    framed = b"".join(b"%x\r\n" % len(piece) + piece + b"\r\n" for piece in chunks)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


def told(reading: Reading) -> list[tuple[object, ...]]:
    return [(r.method, r.path, r.query, r.headers.items(), r.body) for r in reading.requests]


@given(st.lists(requests(), min_size=1, max_size=4), st.lists(st.integers(0, 3000), max_size=12))
def test_any_slicing_of_a_pipelined_stream_gives_the_same_requests(stream: list[bytes], cuts: list[int]):
    data = b"".join(stream)
    whole, sliced, bytewise = Reading(), Reading(), Reading()
    assert whole.feed(data) == 0
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in pairwise(edges):
        assert sliced.feed(data[start:end]) == 0
    assert bytewise.feed(data, 1) == 0
    assert len(whole.requests) == len(stream)
    assert told(whole) == told(sliced) == told(bytewise)


@given(st.binary(max_size=400), st.integers(1, 50))
def test_rubbish_is_refused_or_waited_for_but_nothing_else_is_raised(data: bytes, step: int):
    Reading().feed(b"POST / HTTP/1.1\r\nHost: a\r\n" + data, step)
    Reading().feed(data, step)
