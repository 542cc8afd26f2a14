"""An answer's head that is known again means what it meant when it was parsed, and nothing else is taken for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.http1.client import Client, Origin
from brainrouter.http1.errors import Broken
from brainrouter.http1.known_answer import KEPT, PATIENCE, KnownAnswers
from brainrouter.http1.response_reader import ResponseReader
from tests.http1.rig import client, run, upstream
from tests.http1.test_client import says

WHOLE = (
    b'HTTP/1.1 200 OK\r\nX-Tier: simple\r\nContent-Length: %d\r\nETag: W/"%d"\r\n'
    b"Date: Fri, 27 Nov 2026 16:25:%02d GMT\r\nKeep-Alive: timeout=5\r\n\r\n"
)
CHUNKED = b"HTTP/1.1 200 OK\r\nDate: Fri, 27 Nov 2026 16:25:%02d GMT\r\nTransfer-Encoding: chunked\r\n\r\n"


def whole(body: bytes, number: int = 0) -> bytes:
    return WHOLE % (len(body), number, number % 60) + body


def chunked(body: bytes, number: int = 0) -> bytes:
    return CHUNKED % (number % 60) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


class Read(NamedTuple):
    """What a reader made of an answer."""

    status: int
    headers: dict[str, str] | None
    announced: int
    body: bytes
    complete: bool
    reusable: bool
    broken: bool


def read(
    data: bytes, heads: KnownAnswers | None = None, step: int = 1 << 20, *, head_only: bool = False
) -> Read:
    reader = ResponseReader(heads or KnownAnswers())
    reader.restart(head_only=head_only)
    broken = False
    try:
        for at in range(0, len(data), step):
            reader.feed(data[at : at + step])
    except Broken:
        broken = True
    body = b"".join(reader.parts)
    return Read(
        reader.status, reader.headers, reader.announced, body, reader.complete, reader.reusable, broken
    )


@pytest.mark.parametrize("answer", [whole, chunked])
def test_answers_whose_heads_differ_in_length_date_and_etag_share_their_headers(
    answer: Callable[[bytes, int], bytes],
) -> None:
    heads = KnownAnswers()
    bodies = [b"{}", b"[" + b" " * 5000 + b"]", b"{ }"]
    found = [read(answer(body, number), heads) for number, body in enumerate(bodies)]
    assert [one.body for one in found] == bodies
    assert all(one.complete and one.reusable for one in found)
    assert len({id(one.headers) for one in found}) == 1
    own = {"content-length", "date", "etag"}
    assert found[0].headers
    assert not own & set(found[0].headers)


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=2, max_size=6), st.integers(1, 300))
def test_any_slicing_gives_the_same_answers(bodies: list[bytes], step: int) -> None:
    heads = KnownAnswers()
    for make in (whole, chunked):
        for number, body in enumerate(bodies):
            assert read(make(body, number), heads, step) == read(make(body, number))


@pytest.mark.parametrize("answer", [whole(b'{"a":1}'), chunked(b"data: 1\n\n"), whole(b"")])
def test_with_any_one_byte_changed_it_is_read_as_if_nothing_were_known(answer: bytes) -> None:
    heads = KnownAnswers()
    read(answer, heads)
    assert heads.begins(answer)
    for at in range(len(answer)):
        for byte in b"\r\n\0\t :;09AZaz_\x7f\xff":
            changed = answer[:at] + bytes([byte]) + answer[at + 1 :]
            assert read(changed, heads) == read(changed), changed
        for changed in (answer[:at], answer[:at] + answer[at + 1 :], answer[:at] + b"1" + answer[at:]):
            assert read(changed, heads) == read(changed), changed
        if not heads.begins(answer):  # so many others came that it was forgotten
            heads = KnownAnswers()
            read(answer, heads)


@pytest.mark.parametrize("digits", [b"0", b"02", b"9" * 18, b"9" * 19, b"9" * 40, b"2" + b" " * 200])
def test_any_length_is_read_as_if_nothing_were_known(digits: bytes) -> None:
    heads = KnownAnswers()
    read(whole(b"{}"), heads)
    changed = whole(b"{}").replace(b"Content-Length: 2", b"Content-Length: " + digits)
    assert read(changed, heads) == read(changed)


def test_what_follows_an_answer_is_too_much_though_its_head_is_known() -> None:
    heads = KnownAnswers()
    assert read(whole(b"{}"), heads).reusable
    assert not read(whole(b"{}") + b"x", heads).reusable
    assert not read(whole(b"{}") * 2, heads).reusable


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 204 No\r\n\r\n",
        b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 304 No\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 304 No\r\n\r\n",
        b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 103 Hints\r\nContent-Length: 2\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000 + b"\r\nContent-Length: 2\r\n\r\n",
    ],
)
def test_only_a_plain_head_is_known_again(head: bytes) -> None:
    heads = KnownAnswers()
    for body in (b"", b"{}"):
        assert read(head + body, heads) == read(head + body)
        assert heads.begins(head + b"{}") is None


def test_the_answer_to_a_head_request_is_neither_known_nor_taken_for_one() -> None:
    heads = KnownAnswers()
    head = whole(b"12345678")[:-8]
    read(head, heads, head_only=True)
    assert heads.begins(head) is None
    read(whole(b"12345678"), heads)
    assert read(head, heads, head_only=True).complete
    assert not read(head, heads).complete


def test_only_the_last_few_heads_are_kept() -> None:
    heads = KnownAnswers()
    tiers = [whole(b"{}").replace(b"simple", b"tier%d" % number) for number in range(KEPT + 1)]
    for tier in tiers:
        read(tier, heads)
    assert [heads.begins(tier) is not None for tier in tiers] == [False] + [True] * KEPT


def test_an_upstream_whose_heads_are_never_the_same_is_not_looked_at_for_ever() -> None:
    heads = KnownAnswers()
    for number in range(PATIENCE):
        read(whole(b"{}").replace(b"simple", b"id%d" % number), heads)
    last = whole(b"{}").replace(b"simple", b"id%d" % (PATIENCE - 1))
    assert heads.begins(last) is None
    assert read(last, heads) == read(last)


def test_one_head_that_comes_again_keeps_the_patience() -> None:
    heads = KnownAnswers()
    for number in range(PATIENCE * 2):
        read(whole(b"{}", number), heads)
        read(whole(b"{}").replace(b"simple", b"id%d" % number), heads)
    read(whole(b"{}"), heads)
    assert heads.begins(whole(b"{}"))


def test_a_head_is_known_of_the_upstream_that_said_it_only() -> None:
    async def main() -> None:
        same = says(whole(b"{}"))
        async with upstream(same) as one, upstream(same) as other, client() as near:
            found = [await headers(near, origin) for origin in (one.origin, one.origin, other.origin)]
        assert found[0] is found[1]
        assert found[0] is not found[2]

    async def headers(near: Client, origin: Origin) -> dict[str, str]:
        response = await near.request(origin, "POST", "/", [], b"{}", first_byte_s=5)
        assert await response.read(100, idle_s=5) == b"{}"
        response.close()
        return response.headers

    run(main())
