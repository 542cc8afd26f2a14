from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.wire import watch as watching
from brainrouter.wire.progress import only_goes_on
from brainrouter.wire.watch import StreamWatch
from tests.wire.streams import (
    CHAT,
    DONE,
    MESSAGES,
    RESPONSES,
    ROLE,
    STREAMS,
    chunk,
    event,
    run,
    summary,
)


@pytest.mark.parametrize("dialect", STREAMS)
@pytest.mark.parametrize("local", [True, False])
def test_a_good_stream_passes_byte_for_byte_and_is_complete(dialect: str, local: bool) -> None:
    stream = STREAMS[dialect]
    watch, passed = run(dialect, stream, local=local)
    assert passed == b"".join(stream)
    assert watch.failure is None
    assert watch.begun
    assert watch.complete


def test_what_the_stream_says_of_itself_is_read() -> None:
    chat, messages, responses = (run(dialect, stream)[0] for dialect, stream in STREAMS.items())
    assert (chat.model, chat.finish, chat.timings) == ("qwen", "stop", {"prompt_n": 6, "cache_n": 3})
    assert (messages.model, messages.finish) == ("claude-x", "end_turn")
    assert (responses.model, responses.finish) == ("gpt-x", "completed")
    counts = [
        (w.usage.prompt, w.usage.completion, w.usage.cached) for w in (chat, messages, responses) if w.usage
    ]
    assert counts == [(9, 4, 3), (12, 6, 7), (5, 6, 2)]


BROKEN = [
    b'data: {"choices":[{"finish_reason":null}\n\n',
    b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n',
]
STRANGE = [
    b'data: {"choices":[]}\n\n', b'data: {"choices":[{"finish_reason":null}],\ndata: "error":{"message":"x"}}\n\n',
    b'data: {"error":{"message":"x"},"choices":[]}\n\n', b"data: 1\n\n", b"data: {}\n\n", b": ping\n\n", b"data: []\n\n",
    b'data: {"choices":[{"finish_reason":"error","delta":{}}]}\n\n', b'data:{"choices":[{}]}\n\n', b'{"error":"x"}\n',
    b'event: error\ndata: {"choices":[{}]}\n\n', b'data: {"choices":[{"finish_reason":""}]}\r\n\r\n', DONE, *BROKEN,
]  # fmt: skip
DELTA_FIELDS = ["role", "content", "tool_calls", "reasoning_content", "refusal"]
VALUES = [
    "a",
    "",
    None,
    {},
    [],
    [{}],
    7,
    "manifest",
    "chatcmpl-manifest-1",
    "\N{PEACOCK} Manifest M101",
    {"message": "x"},
]
chunks = st.one_of(
    st.sampled_from([*CHAT, *STRANGE]),
    st.builds(
        lambda text, finish, more: chunk({"content": text}, finish, **more),
        st.text(max_size=5),
        st.sampled_from([None, None, None, "stop", "", "length"]),
        st.sampled_from(
            [{}, {"usage": None}, {"usage": {"completion_tokens": 3}}, {"timings": {"prompt_n": 2}}]
        ),
    ),
)


@given(st.lists(chunks, max_size=8))
def test_a_chunk_that_only_goes_on_is_told_from_one_that_says_more(pieces: list[bytes]) -> None:
    """What is looked at briefly, once there was text, comes to what a close look at each event comes to."""
    stream = [ROLE, chunk({"content": "a"}), *pieces]
    brief, passed = run("chat", stream)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watching, "only_goes_on", lambda data: False)
        close, looked_at = run("chat", stream)
    assert (passed, summary(brief)) == (looked_at, summary(close))


def test_only_a_piece_of_text_after_another_is_looked_at_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bool] = []
    monkeypatch.setattr(
        watching, "only_goes_on", lambda data: looked.append(only_goes_on(data)) or looked[-1]
    )
    watch, told = StreamWatch("chat", local=False), list[list[bool]]()
    for piece in (ROLE, text := chunk({"content": "a"}), text, text + text, text, chunk({}, "stop"), text):
        watch.feed(piece)
        told.append(looked.copy())
        looked.clear()
    assert told == [[], [], [True], [], [True], [False], []]


@given(
    delta=st.dictionaries(st.sampled_from(DELTA_FIELDS), st.sampled_from(VALUES), max_size=3),
    finish=st.sampled_from([None, None, "stop", "", 1]),
    more=st.dictionaries(
        st.sampled_from(["id", "model", "error", "usage", "timings", "message"]),
        st.sampled_from(VALUES),
        max_size=3,
    ),
    local=st.booleans(),
)
def test_an_answer_that_begins_in_the_usual_way_is_noted_as_a_closer_look_would(
    delta: dict[str, Any], finish: Any, more: dict[str, Any], local: bool
) -> None:
    stream = [chunk(delta, finish, **more), chunk({"content": "b"}), chunk({}, "stop"), DONE]
    brief, passed = run("chat", stream, local=local)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watching, "begins_with_text", lambda data, seen: False)
        close, looked_at = run("chat", stream, local=local)
    assert (passed, summary(brief)) == (looked_at, summary(close))


@pytest.mark.parametrize("dialect", STREAMS)
def test_every_split_point_gives_what_one_chunk_gives(dialect: str) -> None:
    stream = b"".join(STREAMS[dialect])
    whole, passed = run(dialect, [stream])
    assert passed == stream
    for cut in range(1, len(stream)):
        watch, out = run(dialect, [stream[:cut], stream[cut:]])
        assert out == stream
        assert summary(watch) == summary(whole)
    watch, out = run(dialect, [stream[i : i + 1] for i in range(len(stream))])
    assert (out, summary(watch)) == (stream, summary(whole))


@pytest.mark.parametrize("dialect", STREAMS)
@given(data=st.data())
def test_a_stream_cut_anywhere_before_its_end_is_never_complete(dialect: str, data: st.DataObject) -> None:
    events = STREAMS[dialect]
    last = len(b"".join(events[:-1] if dialect != "chat" else events[:4]))
    stream = b"".join(events)[: data.draw(st.integers(0, last))]
    watch, passed = run(dialect, [stream])
    assert not watch.complete
    assert watch.failure is not None
    assert watch.failure.kind in ("truncated", "empty")
    assert (stream + b"\n\n").startswith(passed)


@pytest.mark.parametrize("dialect", STREAMS)
@given(
    pieces=st.lists(
        st.binary(max_size=60) | st.sampled_from([b"data: ", b"\n\n", ROLE, b'{"error":', b"null", b"{}"]),
        max_size=12,
    )
)
def test_arbitrary_bytes_never_raise(dialect: str, pieces: list[bytes]) -> None:
    watch, _ = run(dialect, pieces)
    assert watch.complete or watch.failure


def test_the_same_object_comes_back_when_nothing_changed() -> None:
    watch = StreamWatch("chat", local=True)
    for piece in (ROLE, chunk({"content": "a"}), chunk({"content": "b"}) + chunk({"content": "c"})):
        assert watch.feed(piece) is piece


def test_only_an_event_with_substance_begins_the_answer() -> None:
    watch = StreamWatch("chat", local=False)
    watch.feed(b": comment\n\n" + ROLE + chunk({"content": None}))
    assert not watch.begun
    watch.feed(chunk({"reasoning_content": "hm"}))
    assert watch.begun


@pytest.mark.parametrize(
    ("dialect", "events"),
    [
        (
            "chat",
            [
                ROLE,
                chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "sh", "arguments": ""}}]}),
            ],
        ),
        (
            "messages",
            [
                MESSAGES[0],
                event(
                    "content_block_start",
                    content_block={"type": "tool_use", "id": "t", "name": "sh", "input": {}},
                ),
            ],
        ),
        (
            "responses",
            [RESPONSES[0], event("response.output_item.added", item={"type": "function_call", "name": "sh"})],
        ),
        ("chat", [b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n']),
    ],
)
def test_a_tool_call_or_a_bare_chunk_begins_the_answer(dialect: str, events: list[bytes]) -> None:
    watch = StreamWatch(dialect, local=False)  # type: ignore[arg-type]
    watch.feed(b"".join(events))
    assert watch.begun


def test_an_answer_cut_short_by_its_limit_may_be_empty() -> None:
    watch, _ = run("chat", [ROLE, chunk({}, "length"), DONE])
    assert (watch.failure, watch.begun, watch.complete) == (None, True, True)


def test_a_finish_reason_before_the_end_of_the_stream_is_an_end_but_text_alone_is_not() -> None:
    assert run("chat", CHAT[:5])[0].complete
    watch, _ = run("chat", CHAT[:4])
    assert not watch.complete
    assert watch.failure
    assert watch.failure.kind == "truncated"


def test_a_last_event_without_its_blank_line_still_counts() -> None:
    watch, passed = run("chat", [*CHAT[:4], b"data: [DONE]\n"])
    assert watch.complete
    assert passed.endswith(DONE)
