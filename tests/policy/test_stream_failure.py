"""Failures that came dressed as answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from brainrouter.policy.failure import Failure
from brainrouter.policy.stream_failure import failure_in_stream, failure_in_whole
from brainrouter.wire.disguise import disguised
from brainrouter.wire.watch import StreamWatch
from brainrouter.wire.whole import facts_of


def stub(code: str) -> dict[str, Any]:
    text = f"[\N{PEACOCK} Manifest {code}] Something. See docs"
    return {
        "id": "chatcmpl-manifest-1", "object": "chat.completion", "model": "manifest",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
    }  # fmt: skip


def in_whole(answer: Any, **headers: str) -> Failure | None:
    facts = facts_of("chat", answer)
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    return failure_in_whole(disguised(200, lines, answer, "chat"), facts)


def in_stream(*events: str) -> Failure | None:
    watch = StreamWatch("chat", local=True)
    for event in events:
        watch.feed(event.encode())
    watch.end()
    return failure_in_stream(None, watch)


def kind_of(failure: Failure | None) -> str | None:
    return None if failure is None else failure.kind.name


GOOD = {
    "id": "chatcmpl-1", "object": "chat.completion", "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("M001", "misconfigured"), ("M005", "misconfigured"), ("M100", "misconfigured"), ("M101", "misconfigured"),
        ("M102", "misconfigured"), ("M302", "misconfigured"), ("M200", "budget_spent"), ("M204", "budget_spent"),
        ("M201", "rate_limited"), ("M203", "rate_limited"), ("M500", "upstream_error"), ("M300", "upstream_error"),
    ],
)  # fmt: skip
def test_each_of_manifests_codes_means_what_it_says(code: str, kind: str) -> None:
    found = in_whole(stub(code))
    assert found is not None
    assert (found.kind.name, found.kind.falls_back) == (kind, True)
    assert found.kind.trips is (kind != "rate_limited")
    assert "Something" in found.message


def test_a_real_answer_is_no_failure_whatever_it_says() -> None:
    assert in_whole(GOOD) is None
    talk = json.loads(json.dumps(GOOD).replace('"hi"', '"Manifest M100 is an error code"'))
    assert in_whole(talk) is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "x", "type": "server_error"}, "upstream_error"),
        ({"message": "x", "type": "rate_limit_error"}, "rate_limited"),
        ({"message": "x", "code": 429}, "rate_limited"),
        ({"message": "x", "type": "authentication_error"}, "misconfigured"),
        ({"message": "x", "type": "insufficient_quota"}, "budget_spent"),
        (
            {"message": "x", "type": "exceed_context_size_error", "n_prompt_tokens": 9, "n_ctx": 4},
            "context_too_long",
        ),
        ("words only", "upstream_error"),
    ],
)
def test_a_200_with_an_error_inside_is_that_error(error: Any, kind: str) -> None:
    assert kind_of(in_whole({"error": error})) == kind


def test_an_answer_in_another_dialect_is_a_failure() -> None:
    found = in_whole({"type": "message", "role": "assistant", "content": [{"type": "text", "text": "hi"}]})
    assert kind_of(found) == "upstream_error"


@pytest.mark.parametrize("message", [{}, {"content": ""}, {"content": None, "tool_calls": []}])
def test_an_answer_that_says_and_calls_nothing_is_a_failure(message: dict[str, Any]) -> None:
    answer = {**GOOD, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    assert kind_of(in_whole(answer)) == "empty_answer"
    assert kind_of(in_whole({**GOOD, "choices": []})) == "empty_answer"


def test_an_answer_cut_off_by_its_token_limit_may_be_empty() -> None:
    answer = {**GOOD, "choices": [{"index": 0, "message": {"content": ""}, "finish_reason": "length"}]}
    assert in_whole(answer) is None


CHUNK = '{"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":%s,"finish_reason":%s}]}'
TEXT = f"data: {CHUNK % (json.dumps({'content': 'hi'}), 'null')}\n\n"
STOP = f"data: {CHUNK % ('{}', json.dumps('stop'))}\n\n"
DONE = "data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        ((TEXT, STOP, DONE), None),
        ((TEXT,), "truncated"),
        ((STOP, DONE), "empty_answer"),
        ((), "empty_answer"),
        (('data: {"error":{"message":"x"}}\n\n',), "upstream_error"),
        ((TEXT, 'data: {"error":{"message":"x"}}\n\n', DONE), "upstream_error"),
        (("data: rubbish\n\n",), "malformed"),
        ((TEXT, "data: [1]\n\n"), "malformed"),
        ((TEXT, '{"src":"llama-swap","error":{"message":"died"}}\n'), "upstream_error"),
        (('data: {"error":{"type":"exceed_context_size_error","n_prompt_tokens":9,"n_ctx":4}}\n\n',), "context_too_long"),
        ((f"data: {json.dumps(stub('M101'))}\n\n",), "misconfigured"),
    ],
)  # fmt: skip
def test_a_stream_that_broke_is_the_failure_that_broke_it(events: tuple[str, ...], kind: str | None) -> None:
    assert kind_of(in_stream(*events)) == kind


def test_the_window_is_known_where_the_stream_told_it() -> None:
    found = in_stream(
        'data: {"error":{"type":"exceed_context_size_error","n_prompt_tokens":9,"n_ctx":4}}\n\n'
    )
    assert found is not None
    assert found.window == (9, 4)
