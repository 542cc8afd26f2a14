from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.wire.disguise import disguised, error_message

JSON_TYPE = {"content-type": "application/json"}
CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt",
    "choices": [{"message": {"content": "hi"}}],
}
MESSAGE = {"type": "message", "model": "claude", "content": [{"type": "text", "text": "hi"}]}
RESPONSE = {"object": "response", "status": "completed", "error": None, "output": []}
WHOLE: dict[Any, dict[str, Any]] = {"chat": CHAT, "messages": MESSAGE, "responses": RESPONSE}


def stub(code: str, **changes: Any) -> dict[str, Any]:
    text = f"[🦚 Manifest {code}] Something to do. See https://docs/{code}"
    usage = {"prompt_tokens": 0, "completion_tokens": 0}
    return {
        **CHAT,
        "id": "chatcmpl-manifest-7",
        "model": "manifest",
        "choices": [{"message": {"content": text}}],
        "usage": usage,
        **changes,
    }


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("M001", "misconfigured"),
        ("M005", "misconfigured"),
        ("M100", "misconfigured"),
        ("M101", "misconfigured"),
        ("M302", "misconfigured"),
        ("M200", "budget"),
        ("M204", "budget"),
        ("M202", "rate"),
        ("M300", "failure"),
        ("M500", "failure"),
    ],
)
def test_a_stub_is_known_and_classed_by_its_code(code: str, kind: str) -> None:
    found = disguised(200, JSON_TYPE, stub(code), "chat")
    assert found is not None
    assert (found.sign, found.kind, found.code) == ("stub", kind, code)
    assert found.message.startswith("Something to do.")


@pytest.mark.parametrize("sign", [{"id": "x"}, {"model": "gpt"}, {"id": "x", "model": "gpt"}])
def test_each_sign_of_a_stub_is_enough(sign: dict[str, Any]) -> None:
    assert disguised(200, JSON_TYPE, stub("M101", **sign), "chat")


def test_the_header_alone_is_enough_and_its_reason_classes_it() -> None:
    headers = {"x-manifest-provider": "manifest", "x-manifest-reason": "limit_exceeded"}
    found = disguised(200, headers, None, "messages")
    assert found is not None
    assert found.kind == "budget"


@pytest.mark.parametrize(
    "text",
    [
        "Manifest M100",
        "see [Manifest M100]",
        "the error is [🦚 Manifest M101]",
        '{"error": "x"}',
        "data: [DONE]",
    ],
)
def test_words_in_an_answer_are_never_a_disguise(text: str) -> None:
    answers: dict[Any, Any] = {
        "chat": {**CHAT, "choices": [{"message": {"content": text}}]},
        "messages": {**MESSAGE, "content": [{"type": "text", "text": text}]},
        "responses": {
            **RESPONSE,
            "output": [{"type": "message", "content": [{"type": "output_text", "text": text}]}],
        },
    }
    for dialect, answer in answers.items():
        assert disguised(200, JSON_TYPE, answer, dialect) is None


def test_a_model_that_writes_the_mark_itself_is_no_stub() -> None:
    echoed = stub("M101", id="x", model="gpt", usage={"completion_tokens": 12})
    assert disguised(200, JSON_TYPE, echoed, "chat") is None


@pytest.mark.parametrize("dialect", WHOLE)
@pytest.mark.parametrize("answered", WHOLE)
def test_only_the_callers_own_envelope_is_an_answer(dialect: Any, answered: Any) -> None:
    found = disguised(200, JSON_TYPE, WHOLE[answered], dialect)
    assert (found is None) == (dialect == answered)
    assert found is None or found.sign == "wrong_envelope"


def test_a_body_of_no_known_shape_is_no_answer_but_an_event_of_none_may_be() -> None:
    assert disguised(200, JSON_TYPE, {"ok": True}, "chat")
    assert disguised(200, {"content-type": "text/event-stream"}, {"ok": True}, "chat") is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "x", "code": 429}, "rate"),
        ({"message": "x", "type": "insufficient_quota"}, "budget"),
        ({"message": "x", "code": "manifest_auth", "type": "auth_error"}, "misconfigured"),
        ("plain", "failure"),
    ],
)
def test_an_error_inside_a_200_is_a_failure(error: Any, kind: str) -> None:
    found = disguised(200, JSON_TYPE, {"error": error}, "chat")
    assert found is not None
    assert (found.sign, found.kind) == ("error", kind)


def test_an_error_status_is_not_disguised() -> None:
    assert disguised(500, JSON_TYPE, stub("M500"), "chat") is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"message": "m", "type": "t", "code": "c", "param": None}}, ("m", "t", "c", None, None)),
        (
            {"error": {"message": "m", "type": "server_error", "code": 500}},
            ("m", "server_error", "500", None, 500),
        ),
        (
            {"src": "llama-swap", "error": {"message": "m", "code": "not_found"}},
            ("m", None, "not_found", "llama-swap", None),
        ),
        ({"src": "llama-swap", "error": "m"}, ("m", None, None, "llama-swap", None)),
        (
            {"error": {"message": "m", "status": 503, "source": "provider"}},
            ("m", None, None, "provider", 503),
        ),
        (
            {"type": "error", "error": {"type": "overloaded_error", "message": "m"}},
            ("m", "overloaded_error", None, None, None),
        ),
        (
            {"type": "response.failed", "response": {"error": {"code": "c", "message": "m"}}},
            ("m", None, "c", None, None),
        ),
        ({"type": "error", "code": "c", "message": "m", "param": None}, ("m", None, "c", None, None)),
        ({"detail": "m"}, ("m", None, None, None, None)),
        ([], ("", None, None, None, None)),
    ],
)
def test_every_upstreams_error_shape_is_read(body: Any, expected: tuple[Any, ...]) -> None:
    info = error_message(json.dumps(body).encode())
    assert (info.message, info.type, info.code, info.src, info.status) == expected


def test_text_and_html_become_one_plain_line() -> None:
    assert error_message(b"llama-swap: no\n  such model").message == "llama-swap: no such model"
    page = b"<!DOCTYPE html><html><style>p{}</style><h1>502 Bad\nGateway</h1><script>alert(1)</script></html>"
    assert error_message(page).message == "502 Bad Gateway"
    assert error_message(b"").message == ""


@pytest.mark.parametrize(
    "message",
    [
        "prompt is too long: 9000 tokens > 8192 maximum",
        "request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
    ],
)
def test_an_overflow_is_known_by_its_words_and_gives_its_numbers(message: str) -> None:
    info = error_message(json.dumps({"error": {"message": message}}).encode())
    assert info.overflow
    assert (info.n_prompt_tokens, info.n_ctx) == (9000, 8192)


@given(st.binary())
def test_any_body_gives_an_error_info(body: bytes) -> None:
    assert len(error_message(body).message) <= 600


KEYS = [
    "choices",
    "message",
    "content",
    "error",
    "usage",
    "type",
    "object",
    "model",
    "id",
    "text",
    "response",
    "code",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(KEYS), JSON), st.sampled_from(["chat", "messages", "responses"]))
def test_no_shape_of_answer_raises(first: dict[str, Any], dialect: Any) -> None:
    disguised(200, JSON_TYPE, first, dialect)
