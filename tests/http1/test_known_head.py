"""A head that is known again means what it meant when it was parsed, and nothing else is taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.http1.known_head import KEPT, KnownHeads
from tests.http1.rig import run, served, wire
from tests.http1.test_request_reader import Reading

HEAD = b"POST /v1/x?a=1 HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\nAccept: a\r\n\r\n"


def post(body: bytes) -> bytes:
    return HEAD % len(body) + body


def test_requests_with_the_same_head_share_its_headers():
    reading = Reading()
    for body in (b"{}", b"{" + b" " * 5000 + b"}", b"[]"):
        assert reading.feed(post(body)) == 0
    assert [request.body for request in reading.requests] == [b"{}", b"{" + b" " * 5000 + b"}", b"[]"]
    assert len({id(request.headers) for request in reading.requests}) == 1
    assert {(request.path, request.query) for request in reading.requests} == {("/v1/x", "a=1")}


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=2, max_size=6), st.integers(1, 200))
def test_any_slicing_gives_the_same_requests(bodies: list[bytes], step: int):
    reading = Reading()
    assert reading.feed(b"".join(map(post, bodies)), step) == 0
    assert [request.body for request in reading.requests] == bodies
    assert reading.held == sum(map(len, bodies))


def test_another_connection_to_the_same_address_knows_the_head_too():
    heads = KnownHeads()
    one, other = Reading(heads=heads), Reading(heads=heads)
    assert (one.feed(post(b"{}")), other.feed(post(b"[ ]"))) == (0, 0)
    assert one.requests[0].headers is other.requests[0].headers
    assert [request.body for request in (*one.requests, *other.requests)] == [b"{}", b"[ ]"]


def test_heads_are_told_apart_on_one_connection():
    reading = Reading()
    heads = [HEAD.replace(b"Accept: a", b"Accept: %d" % number) for number in range(KEPT)]
    for _ in range(2):
        for head in heads:
            assert reading.feed(head % 2 + b"{}") == 0
    assert [request.headers.get("accept") for request in reading.requests] == [*map(str, range(KEPT))] * 2
    assert len({id(request.headers) for request in reading.requests}) == KEPT


def test_only_the_last_few_heads_are_kept():
    heads = KnownHeads()
    reading = Reading(heads=heads)
    for number in range(KEPT + 1):
        reading.feed(HEAD.replace(b"Accept: a", b"Accept: %d" % number) % 2 + b"{}")
    assert heads.begins(HEAD.replace(b"Accept: a", b"Accept: 0") % 2) is None
    assert heads.begins(HEAD.replace(b"Accept: a", b"Accept: 1") % 2) is not None


def test_a_head_is_not_known_at_another_address(tmp_path: Path):
    """What was found to hold of a request to one port need not hold of one to another, or to a Unix socket."""

    async def main() -> None:
        async with (
            served(unix=tmp_path / "s") as here,
            wire(here) as one,
            wire(here) as two,
            wire(here, over_unix=True) as other,
        ):
            for client in (one, two, other):
                client.send(post(b"{}"))
                await client.reply("POST")
            first, second, third = (request.headers for request in here.requests)
            assert first is second
            assert first is not third

    run(main())


def test_another_head_is_parsed_anew():
    reading = Reading()
    reading.feed(post(b"{}"))
    other = HEAD.replace(b"Accept: a", b"Accept: b")
    reading.feed(other % 2 + b"{}")
    assert [request.headers.get("accept") for request in reading.requests] == ["a", "b"]


def test_a_length_that_is_not_plain_digits_is_left_to_the_parser():
    for odd in (b"-2", b"+2", b"2 2", b"0x2", b"2,2", b""):
        reading = Reading()
        reading.feed(post(b"{}"))
        assert reading.feed(HEAD.replace(b"%d", odd) + b"{}") == 400


def test_a_second_length_cannot_hide_behind_a_known_head():
    reading = Reading()
    reading.feed(post(b"{}"))
    smuggled = post(b"{}").replace(b"Accept: a", b"Content-Length: 3")
    assert reading.feed(smuggled) == 400
    assert len(reading.requests) == 1


def test_a_body_over_the_limit_is_refused_behind_a_known_head_too():
    reading = Reading()
    reading.feed(post(b"{}"))
    assert reading.feed(HEAD % 100_001) == 413


@pytest.mark.parametrize("step", [1 << 20, 30])
def test_what_is_refused_behind_a_known_head_is_said_for_its_path_and_holds_nothing(step: int):
    reading = Reading()
    reading.feed(post(b"{}"))
    reading.room = False
    assert reading.feed(post(b"[1, 2]"), step) == 503
    assert reading.refused is not None
    assert reading.refused.path == "/v1/x"
    assert (reading.held - reading.reader.drop(), len(reading.requests)) == (2, 1)


def test_a_head_that_asks_for_more_than_an_answer_is_never_taken_for_known():
    for line, means in ((b"Expect: 100-continue", 2), (b"Connection: close", 0)):
        head = HEAD.replace(b"Accept: a", line)
        reading = Reading()
        reading.feed(head % 2 + b"{}")
        reading.feed(head % 2 + b"{}")
        assert reading.expected == means
