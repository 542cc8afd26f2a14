"""Chat completions: a body checked for what must hold, and no more; everything else passes as it came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from brainrouter.wire.ask import Ask
from brainrouter.wire.field_checks import (
    NUMBER,
    SWITCH,
    AnyObject,
    check_content,
    check_list,
    checked_ask,
    rows_of,
)
from brainrouter.wire.json_body import TEXT, opening, parse_object
from brainrouter.wire.plain import Common, plain_ask, read_plain

_NULL = Raw(b"null")


class ChatMessage(msgspec.Struct):
    """One message. `content` and `tool_calls` are undecoded: `null` when the message has none."""

    role: str
    content: Raw = _NULL
    tool_calls: Raw = _NULL
    tool_call_id: str | None = None
    name: str | None = None


class _Plain(Common, kw_only=True):
    """A request of the usual shape."""

    messages: list[ChatMessage]
    temperature: float | None = None
    top_p: float | None = None
    tools: list[AnyObject] | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: float | None = None
    max_completion_tokens: float | None = None
    top_k: float | None = None
    n: float | None = None
    seed: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    top_logprobs: float | None = None
    stop: str | list[Any] | None = None
    tool_choice: str | AnyObject | None = None
    stream_options: AnyObject | None = None
    response_format: AnyObject | None = None


_PLAIN = msgspec.json.Decoder(_Plain)
_MESSAGES = msgspec.json.Decoder(list[ChatMessage])
_FIELD_KINDS: dict[str, tuple[str, ...]] = {
    "stream": SWITCH,
    "parallel_tool_calls": SWITCH,
    "max_tokens": NUMBER,
    "max_completion_tokens": NUMBER,
    "temperature": NUMBER,
    "top_p": NUMBER,
    "top_k": NUMBER,
    "n": NUMBER,
    "seed": NUMBER,
    "presence_penalty": NUMBER,
    "frequency_penalty": NUMBER,
    "top_logprobs": NUMBER,
    "stop": ("string", "array", "null"),
    "tool_choice": ("string", "object", "null"),
    "tools": ("array", "null"),
    "stream_options": ("object", "null"),
    "response_format": ("object", "null"),
}


def parse_chat(raw: bytes, headers: dict[str, str]) -> Ask:
    """The body of `POST /v1/chat/completions` as an Ask, or BadBody naming the field at fault."""
    plain = read_plain(raw, _PLAIN)
    if plain is not None and plain.messages:
        _check(plain.messages)
        return plain_ask("chat", raw, plain, plain.messages, headers)
    body = parse_object(raw)
    messages = rows_of(body, "messages", _MESSAGES)
    _check(messages)
    return checked_ask("chat", raw, body, messages, headers, _FIELD_KINDS)


def _check(messages: Sequence[ChatMessage]) -> None:
    for index, message in enumerate(messages):
        if opening(message.content) != TEXT:  # most are text, and there are hundreds
            check_content(message.content, f"messages[{index}].content")
        if message.tool_calls is not _NULL:
            check_list(message.tool_calls, f"messages[{index}].tool_calls")
