from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.wire.sse import LINE_MAX_BYTES, frame
from brainrouter.wire.watch import LOADING, StreamWatch

TRICKY = 'Привет 日本 "error": {"message":"x"} data: [DONE]\n\n{"error":1} [🦚 Manifest M100] "finish_reason":"stop" "usage"'
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "qwen"}


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    body = {**HEAD, "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}], **more}
    return frame(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())


def event(kind: str, **fields: Any) -> bytes:
    return frame(json.dumps({"type": kind, **fields}, ensure_ascii=False).encode(), kind)


DONE = b"data: [DONE]\n\n"
ROLE = chunk({"role": "assistant", "content": ""})
CHAT = [
    ROLE,
    chunk({"content": "Hello "}),
    b": ping\n\n",
    chunk({"content": TRICKY}),
    chunk({}, "stop"),
    chunk(
        choices=[],
        usage={"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 3}},
        timings={"prompt_n": 6, "cache_n": 3},
    ),
    DONE,
]
MESSAGES = [
    event("message_start", message={"id": "m", "model": "claude-x", "content": [], "usage": {"input_tokens": 5, "cache_read_input_tokens": 7}}),
    event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    event("ping"),
    event("content_block_delta", index=0, delta={"type": "text_delta", "text": TRICKY}),
    event("content_block_stop", index=0),
    event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 6}),
    event("message_stop"),
]
RESPONSES = [
    event("response.created", response={"id": "r", "model": "gpt-x", "status": "in_progress", "error": None, "output": []}),
    event("response.output_item.added", item={"type": "message", "content": []}),
    event("response.output_text.delta", delta=TRICKY),
    event("response.output_item.done", item={"type": "message", "content": [{"type": "output_text", "text": TRICKY}]}),
    event(
        "response.completed",
        response={"model": "gpt-x", "status": "completed", "error": None, "usage": {"input_tokens": 5, "output_tokens": 6, "input_tokens_details": {"cached_tokens": 2}}},
    ),
]
STREAMS = {"chat": CHAT, "messages": MESSAGES, "responses": RESPONSES}


def run(dialect: Any, pieces: list[bytes], *, local: bool = False) -> tuple[StreamWatch, bytes]:
    watch = StreamWatch(dialect, local=local)
    passed = b"".join([watch.feed(piece) for piece in pieces])
    return watch, passed + watch.end()


def summary(watch: StreamWatch) -> tuple[Any, ...]:
    return (watch.begun, watch.failure, watch.complete, watch.model, watch.finish, watch.usage, watch.timings)


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
    counts = [(w.usage.prompt, w.usage.completion, w.usage.cached) for w in (chat, messages, responses) if w.usage]
    assert counts == [(9, 4, 3), (12, 6, 7), (5, 6, 2)]


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
@given(pieces=st.lists(st.binary(max_size=60) | st.sampled_from([b"data: ", b"\n\n", ROLE, b'{"error":', b"null", b"{}"]), max_size=12))
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
        ("chat", [ROLE, chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "sh", "arguments": ""}}]})]),
        ("messages", [MESSAGES[0], event("content_block_start", content_block={"type": "tool_use", "id": "t", "name": "sh", "input": {}})]),
        ("responses", [RESPONSES[0], event("response.output_item.added", item={"type": "function_call", "name": "sh"})]),
        ("chat", [b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n']),
    ],
)
def test_a_tool_call_or_a_bare_chunk_begins_the_answer(dialect: str, events: list[bytes]) -> None:
    watch = StreamWatch(dialect, local=False)  # type: ignore[arg-type]
    watch.feed(b"".join(events))
    assert watch.begun


@pytest.mark.parametrize(
    ("dialect", "events"),
    [
        ("chat", [ROLE, chunk({}, "stop"), DONE]),
        ("chat", [DONE]),
        ("chat", [ROLE, chunk({"reasoning_content": "hm"}), chunk({}, "stop"), DONE]),
        ("messages", [MESSAGES[0], MESSAGES[5], MESSAGES[6]]),
        ("responses", [RESPONSES[0], RESPONSES[4]]),
        ("chat", []),
    ],
)
def test_an_answer_with_neither_text_nor_tool_call_is_empty(dialect: str, events: list[bytes]) -> None:
    watch, passed = run(dialect, events)
    assert watch.failure is not None
    assert watch.failure.kind == "empty"
    assert DONE not in passed


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


OVERFLOW = {"error": {"code": 400, "message": "request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it", "type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 8192}}


@pytest.mark.parametrize(
    ("dialect", "bad", "kind"),
    [
        ("chat", frame(b'{"error":{"message":"boom","code":500}}'), "error_event"),
        ("chat", chunk({}, "error", error={"message": "boom"}), "error_event"),
        ("messages", event("error", error={"type": "api_error", "message": "boom"}), "error_event"),
        ("responses", event("error", message="boom", code="x"), "error_event"),
        ("responses", event("response.failed", response={"error": {"message": "boom", "code": "server_error"}}), "error_event"),
        ("chat", b'{"src":"llama-swap","error":{"message":"boom","code":"internal_error"}}\n\n', "raw_error"),
        ("chat", b'{"src":"llama-swap","error":"boom"}', "raw_error"),
        ("chat", frame(json.dumps(OVERFLOW).encode()), "context_too_long"),
        ("chat", b"data: {oops\n\n", "malformed"),
        ("chat", b"data: [1]\n\n", "malformed"),
        ("chat", b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', "malformed"),
        ("messages", b"data: rubbish\n\n", "malformed"),
        ("chat", b"data: " + b"x" * (LINE_MAX_BYTES + 1), "overflow"),
    ],
)
@pytest.mark.parametrize("begun", [True, False])
def test_a_failure_in_the_stream_is_found_and_never_passed(dialect: str, bad: bytes, kind: str, begun: bool) -> None:
    good = STREAMS[dialect][:4] if begun else STREAMS[dialect][:1]
    watch, passed = run(dialect, [*good, bad])
    assert watch.failure is not None
    assert watch.failure.kind == kind
    assert passed == b"".join(good)
    assert watch.feed(DONE) == b""
    if kind in ("error_event", "raw_error"):
        assert watch.failure.message == "boom"


def test_an_overflow_carries_its_numbers() -> None:
    failure = run("chat", [frame(json.dumps(OVERFLOW).encode())])[0].failure
    assert failure is not None
    assert failure.info is not None
    assert (failure.info.n_prompt_tokens, failure.info.n_ctx, failure.status) == (9000, 8192, 400)


STUB = {
    "id": "chatcmpl-manifest-1",
    "object": "chat.completion.chunk",
    "model": "manifest",
    "choices": [{"index": 0, "delta": {"role": "assistant", "content": "[🦚 Manifest M200] Limit reached. See x/M200"}, "finish_reason": "stop"}],
}


@pytest.mark.parametrize("dialect", STREAMS)
def test_a_manifest_stub_is_a_failure_in_every_dialect(dialect: str) -> None:
    watch, passed = run(dialect, [frame(json.dumps(STUB).encode()), DONE])
    assert watch.failure is not None
    assert watch.failure.disguise is not None
    assert (watch.failure.kind, watch.failure.disguise.kind, watch.failure.code) == ("stub", "budget", "M200")
    assert passed == b""


def test_an_answer_in_another_dialect_is_malformed() -> None:
    watch, _ = run("messages", CHAT)
    assert watch.failure is not None
    assert watch.failure.kind == "malformed"
    assert not watch.begun


def loading(text: str) -> bytes:
    return frame(json.dumps({"choices": [{"delta": {"reasoning_content": text}}]}).encode())


def test_llama_swaps_loading_words_become_heartbeats() -> None:
    watch, passed = run("chat", [loading("joke"), loading(".") + loading("."), *CHAT], local=True)
    assert passed == LOADING * 3 + b"".join(CHAT)
    assert watch.failure is None


def test_a_load_that_fails_is_found_behind_its_loading_words() -> None:
    watch, passed = run("chat", [loading("joke"), b'{"src":"llama-swap","error":{"message":"exited","code":"internal_error"}}'], local=True)
    assert not watch.begun
    assert watch.failure is not None
    assert (watch.failure.kind, watch.failure.message) == ("raw_error", "exited")
    assert watch.failure.info is not None
    assert watch.failure.info.src == "llama-swap"
    assert passed == LOADING


def test_real_reasoning_is_never_taken_for_loading() -> None:
    real = [chunk({"reasoning_content": "hm"}), loading("not loading any more"), *CHAT]
    assert run("chat", real, local=True)[1] == b"".join(real)


def test_a_whole_json_body_is_no_stream() -> None:
    watch, passed = run("chat", [b'{"id":"x","choices":[{"message":{"content":"hi"}}]}'])
    assert watch.failure is not None
    assert (watch.failure.kind, passed) == ("malformed", b"")


def test_an_end_mark_of_another_dialect_is_passed_over() -> None:
    watch, _ = run("responses", [*RESPONSES, DONE])
    assert watch.complete
    assert watch.failure is None
