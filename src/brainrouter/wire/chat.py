"""Chat completions: a body checked for what must hold, and no more; everything else passes as it came."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from brainrouter.wire.ask import Ask, Dialect
from brainrouter.wire.identity import harness_of, session_of
from brainrouter.wire.json_body import BadBody, decode_field, kind_of, parse_object

NULL = Raw(b"null")


class ChatMessage(msgspec.Struct):
    """One message. `content` and `tool_calls` are undecoded: `null` when the message has none."""

    role: str
    content: Raw = NULL
    tool_calls: Raw = NULL
    tool_call_id: str | None = None
    name: str | None = None


class _Object(msgspec.Struct):
    """Any JSON object."""


_MESSAGES = msgspec.json.Decoder(list[ChatMessage])
OBJECTS = msgspec.json.Decoder(list[_Object])
_TEXT = msgspec.json.Decoder(str)

_NUMBER = ("number", "null")
_SWITCH = ("boolean", "null")
_FIELD_KINDS: dict[str, tuple[str, ...]] = {
    "stream": _SWITCH,
    "parallel_tool_calls": _SWITCH,
    "max_tokens": _NUMBER,
    "max_completion_tokens": _NUMBER,
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "top_k": _NUMBER,
    "n": _NUMBER,
    "seed": _NUMBER,
    "presence_penalty": _NUMBER,
    "frequency_penalty": _NUMBER,
    "top_logprobs": _NUMBER,
    "stop": ("string", "array", "null"),
    "tool_choice": ("string", "object", "null"),
    "tools": ("array", "null"),
    "stream_options": ("object", "null"),
    "response_format": ("object", "null"),
}


def parse_chat(raw: bytes, headers: dict[str, str]) -> Ask:
    """The body of `POST /v1/chat/completions` as an Ask, or BadBody naming the field at fault."""
    body = parse_object(raw)
    _check_messages(body)
    return ask_of("chat", raw, body, headers, _FIELD_KINDS)


def ask_of(
    dialect: Dialect,
    raw: bytes,
    body: dict[str, Raw],
    headers: dict[str, str],
    kinds: dict[str, tuple[str, ...]],
    lists: tuple[str, ...] = ("tools",),
) -> Ask:
    """An Ask of any dialect. Raises BadBody unless each field is of its `kinds` and each of `lists` holds objects."""
    for name in body.keys() & kinds.keys():
        expect(body, name, *kinds[name])
    for name in lists:
        if name in body and kind_of(body[name]) == "array":
            decode_field(body, name, OBJECTS)
    return Ask(
        dialect=dialect,
        raw=raw,
        body=body,
        model=model_of(body),
        stream="stream" in body and bytes(body["stream"]) == b"true",
        headers=headers,
        session=session_of(headers, body),
        harness=harness_of(headers),
    )


def messages_of(ask: Ask) -> list[ChatMessage]:
    """The messages of a chat request that `parse_chat` accepted, decoded anew at each call."""
    return _MESSAGES.decode(ask.body["messages"])


def model_of(body: dict[str, Raw]) -> str:
    """The model asked for: "auto" when none is named."""
    if "model" not in body or kind_of(body["model"]) == "null":
        return "auto"
    return decode_field(body, "model", _TEXT) or "auto"


def expect(body: dict[str, Raw], name: str, *kinds: str) -> None:
    """Refuse a field whose JSON value is none of `kinds`."""
    kind = kind_of(body[name])
    if kind not in kinds:
        raise BadBody(f"{name}: expected {' or '.join(kinds)}, got {kind}", name)


def _check_messages(body: dict[str, Raw]) -> None:
    if "messages" not in body:
        raise BadBody("messages: this field is required", "messages")
    expect(body, "messages", "array")
    messages = decode_field(body, "messages", _MESSAGES)
    if not messages:
        raise BadBody("messages: at least one message is required", "messages")
    for index, message in enumerate(messages):
        if memoryview(message.content)[0] != 0x22:
            check_list(message.content, f"messages[{index}].content", or_string=True)
        if message.tool_calls is not NULL:
            check_list(message.tool_calls, f"messages[{index}].tool_calls")


def check_list(value: Raw, path: str, *, or_string: bool = False) -> None:
    """Refuse what is neither a list of objects nor null (nor a string)."""
    kind = kind_of(value)
    if kind == "array":
        decode_field({path: value}, path, OBJECTS)
    elif kind != "null" and not (or_string and kind == "string"):
        raise BadBody(f"{path}: expected {'string, ' if or_string else ''}array or null, got {kind}", path)
