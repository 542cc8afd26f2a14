from __future__ import annotations

import json

import pytest

from brainrouter.wire.sse import LINE_MAX_BYTES, frame
from brainrouter.wire.watch import LOADING
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
)


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


OVERFLOW = {
    "error": {
        "code": 400,
        "message": "request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 9000,
        "n_ctx": 8192,
    }
}


@pytest.mark.parametrize(
    ("dialect", "bad", "kind"),
    [
        ("chat", frame(b'{"error":{"message":"boom","code":500}}'), "error_event"),
        ("chat", chunk({}, "error", error={"message": "boom"}), "error_event"),
        ("messages", event("error", error={"type": "api_error", "message": "boom"}), "error_event"),
        ("responses", event("error", message="boom", code="x"), "error_event"),
        (
            "responses",
            event("response.failed", response={"error": {"message": "boom", "code": "server_error"}}),
            "error_event",
        ),
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
def test_a_failure_in_the_stream_is_found_and_never_passed(
    dialect: str, bad: bytes, kind: str, begun: bool
) -> None:
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
    "choices": [
        {
            "index": 0,
            "delta": {"role": "assistant", "content": "[🦚 Manifest M200] Limit reached. See x/M200"},
            "finish_reason": "stop",
        }
    ],
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
    watch, passed = run(
        "chat",
        [loading("joke"), b'{"src":"llama-swap","error":{"message":"exited","code":"internal_error"}}'],
        local=True,
    )
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
