from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.wire.sse import (
    EVENT_MAX_BYTES,
    LINE_MAX_BYTES,
    EventSplitter,
    SseOverflow,
    frame,
    parse_event,
)

PIECES = st.lists(
    st.sampled_from(
        [
            b"\n",
            b"\r",
            b"\r\n",
            b"data:",
            b"data: ",
            b"event: x",
            b": c",
            b"id: 1",
            b"a",
            "é\u2028".encode(),
            b"\xef\xbb\xbf",
        ]
    ),
    max_size=40,
).map(b"".join)


def split(stream: bytes, cuts: list[int]) -> tuple[list[bytes], bytes]:
    splitter, events, at = EventSplitter(), [], 0
    for cut in [*sorted(cuts), len(stream)]:
        if cut > at:
            events += splitter.feed(stream[at:cut])
            at = cut
    return events, splitter.end()


@given(PIECES, st.data())
def test_any_chunking_gives_the_same_events(stream: bytes, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(stream))))
    whole = split(stream, [])
    assert split(stream, cuts) == whole
    assert split(stream, list(range(len(stream)))) == whole


@given(PIECES)
def test_nothing_but_a_leading_byte_order_mark_is_lost(stream: bytes) -> None:
    events, tail = split(stream, [])
    assert b"".join(events) + tail == stream.removeprefix(b"\xef\xbb\xbf")


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_arbitrary_bytes_never_raise_anything_but_an_overflow(chunks: list[bytes]) -> None:
    splitter = EventSplitter()
    for chunk in chunks:
        for event in splitter.feed(chunk):
            parse_event(event)


@pytest.mark.parametrize("eol", [b"\n", b"\r\n", b"\r"])
def test_every_line_ending_splits_events(eol: bytes) -> None:
    stream = b"data: a" + eol + eol + b"event: b" + eol + b"data: c" + eol + eol
    events, tail = split(stream + b"data: d", [])
    assert [parse_event(event)[:2] for event in events] == [("", b"a"), ("b", b"c")]
    assert tail == b"data: d"


def test_a_splitter_tells_whether_an_event_begins_with_what_comes_next() -> None:
    splitter = EventSplitter()
    waiting = [splitter.waiting]
    for chunk in (b"data: 0\n\n", b"data: 1\n", b"\n", b"data: 2\n\ndata", b": 3\n\n"):
        splitter.feed(chunk)
        waiting.append(splitter.waiting)
    assert waiting == [True, False, True, False, True, False]


@pytest.mark.parametrize(
    ("raw", "name", "data"),
    [
        (b"data:x\n\n", "", b"x"),
        (b"data:  x\n\n", "", b" x"),
        (b"data\n\n", "", b""),
        (b"data: a\ndata: b\n\n", "", b"a\nb"),
        (b": ping\n\n", "", None),
        (b"event: e\nid: 3\nretry: 9\nother: z\ndata: a\n\n", "e", b"a"),
        ("data: a\u2028b\x85\n\n".encode(), "", "a\u2028b\x85".encode()),
    ],
)
def test_fields_are_read_as_the_standard_says(raw: bytes, name: str, data: bytes | None) -> None:
    assert parse_event(raw)[:2] == (name, data)


@given(st.binary().filter(lambda b: b"\r" not in b), st.sampled_from([None, "error", "message_stop"]))
def test_a_frame_reads_back_as_it_was_written(data: bytes, name: str | None) -> None:
    (event,), tail = split(frame(data, name), [])
    assert parse_event(event)[:2] == (name or "", data)
    assert tail == b""


def feed_again(piece: bytes, past: int) -> None:
    splitter = EventSplitter()
    for _ in range(past // len(piece) + 2):
        splitter.feed(piece)


def test_a_line_without_end_is_an_overflow_at_the_limit() -> None:
    with pytest.raises(SseOverflow):
        feed_again(b"x" * 65536, LINE_MAX_BYTES)


def test_an_event_of_many_lines_is_an_overflow_at_the_limit() -> None:
    line = b"data: " + b"x" * 65530 + b"\n"
    with pytest.raises(SseOverflow):
        feed_again(line, EVENT_MAX_BYTES)


def test_an_overflow_in_one_piece_gives_the_events_before_it() -> None:
    with pytest.raises(SseOverflow) as over:
        EventSplitter().feed(b"data: a\n\n" + b"x" * (LINE_MAX_BYTES + 1) + b"\n\n")
    assert over.value.events == [b"data: a\n\n"]
