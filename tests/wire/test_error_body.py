from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from brainrouter.wire.disguise import error_message
from brainrouter.wire.error_body import error_body, error_frame, overflow_message
from brainrouter.wire.sse import EventSplitter, frame, parse_event

STATUSES: dict[int, tuple[type[Exception], type[Exception]]] = {
    400: (openai.BadRequestError, anthropic.BadRequestError),
    401: (openai.AuthenticationError, anthropic.AuthenticationError),
    403: (openai.PermissionDeniedError, anthropic.PermissionDeniedError),
    404: (openai.NotFoundError, anthropic.NotFoundError),
    429: (openai.RateLimitError, anthropic.RateLimitError),
    500: (openai.InternalServerError, anthropic.InternalServerError),
    502: (openai.InternalServerError, anthropic.InternalServerError),
}


def answering(body: bytes, status: int = 200, kind: str = "text/event-stream") -> httpx2.Client:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, content=body, headers={"content-type": kind})

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def openai_client(body: bytes, status: int = 200, kind: str = "text/event-stream") -> openai.OpenAI:
    return openai.OpenAI(
        api_key="k", base_url="http://x/v1", max_retries=0, http_client=answering(body, status, kind)
    )


def anthropic_client(body: bytes, status: int = 200, kind: str = "text/event-stream") -> anthropic.Anthropic:
    return anthropic.Anthropic(
        api_key="k", base_url="http://x", max_retries=0, http_client=answering(body, status, kind)
    )


@pytest.mark.parametrize("status", STATUSES)
def test_the_openai_sdk_raises_its_error_for_each_status(status: int) -> None:
    body = error_body("chat", status=status, message="no", param="messages[0].role", code="c")
    with pytest.raises(STATUSES[status][0]) as raised:
        openai_client(body, status, "application/json").chat.completions.create(model="m", messages=[])
    error = raised.value
    assert isinstance(error, openai.APIStatusError)
    assert (error.param, error.code, error.body["message"]) == ("messages[0].role", "c", "no")  # type: ignore[index]


@pytest.mark.parametrize("status", STATUSES)
def test_the_anthropic_sdk_raises_its_error_for_each_status(status: int) -> None:
    body = error_body("messages", status=status, message="no")
    with pytest.raises(STATUSES[status][1], match="no"):
        anthropic_client(body, status, "application/json").messages.create(
            model="m", max_tokens=1, messages=[]
        )


def test_the_openai_sdk_raises_at_our_frame_in_a_chat_stream() -> None:
    chunk = frame(
        b'{"id":"x","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"}}]}'
    )
    stream = openai_client(
        chunk + error_frame("chat", status=502, message="broke off")
    ).chat.completions.create(model="m", messages=[], stream=True)
    assert next(stream).choices[0].delta.content == "a"
    with pytest.raises(openai.APIError, match="broke off"):
        next(stream)


def test_the_openai_sdk_raises_at_our_frames_in_a_responses_stream() -> None:
    frames = error_frame("responses", status=502, message="broke off")
    stream = openai_client(frames).responses.create(model="m", input="x", stream=True)
    assert [next(stream).type, next(stream).type] == ["response.created", "response.failed"]
    with pytest.raises(openai.APIError, match="broke off"):
        next(stream)


def test_the_anthropic_sdk_raises_at_our_frame_in_a_stream() -> None:
    ping = frame(b'{"type":"ping"}', "ping")
    frames = ping + error_frame("messages", status=502, message="broke off")
    stream = anthropic_client(frames).messages.create(model="m", max_tokens=1, messages=[], stream=True)
    with pytest.raises(anthropic.APIStatusError, match="broke off"):
        list(stream)


def test_codex_reads_the_code_of_a_failed_response() -> None:
    frames = error_frame("responses", status=400, message="too long", kind="context_too_long")
    created, first, _ = map(parse_event, EventSplitter().feed(frames))
    assert (created.name, first.name) == ("response.created", "response.failed")
    failed: dict[str, Any] = json.loads(first.data or b"")
    assert failed["response"]["error"] == {"code": "context_length_exceeded", "message": "too long"}


@pytest.mark.parametrize(
    ("status", "openai_type", "anthropic_type"),
    [
        (400, "invalid_request_error", "invalid_request_error"),
        (402, "insufficient_quota", "billing_error"),
        (413, "invalid_request_error", "request_too_large"),
        (422, "invalid_request_error", "invalid_request_error"),
        (429, "rate_limit_error", "rate_limit_error"),
        (503, "server_error", "api_error"),
        (504, "server_error", "timeout_error"),
        (529, "server_error", "overloaded_error"),
    ],
)
def test_each_status_has_the_dialects_own_type(status: int, openai_type: str, anthropic_type: str) -> None:
    chat = json.loads(error_body("chat", status=status, message="m"))
    assert chat == {"error": {"message": "m", "type": openai_type, "param": None, "code": None}}
    assert error_body("responses", status=status, message="m") == error_body(
        "chat", status=status, message="m"
    )
    messages = json.loads(error_body("messages", status=status, message="m"))
    assert messages == {"type": "error", "error": {"type": anthropic_type, "message": "m"}}


@pytest.mark.parametrize("dialect", ["chat", "messages", "responses"])
def test_our_own_words_for_an_overflow_read_back_as_one(dialect: Any) -> None:
    message = overflow_message(dialect, 9000, 8192)
    info = error_message(error_body(dialect, status=400, message=message))
    assert info.overflow
    assert (info.n_prompt_tokens, info.n_ctx) == (9000, 8192)
    unknown = overflow_message(dialect, None, None)
    assert error_message(error_body(dialect, status=400, message=unknown)).overflow


def test_claude_code_gets_the_exact_words_it_parses() -> None:
    assert overflow_message("messages", 9000, 8192) == "prompt is too long: 9000 tokens > 8192 maximum"


def test_a_message_of_several_lines_stays_one_frame() -> None:
    events = EventSplitter().feed(error_frame("chat", status=500, message="a\n\nb\r\ndata: [DONE]"))
    assert len(events) == 1
    assert json.loads(parse_event(events[0]).data or b"")["error"]["message"] == "a\n\nb\r\ndata: [DONE]"
