"""Anthropic messages: a body checked for what must hold, and no more; everything else passes as it came."""

from __future__ import annotations

from msgspec import Raw

from brainrouter.wire.ask import Ask
from brainrouter.wire.chat import ask_of, check_list, expect
from brainrouter.wire.json_body import BadBody, decode_field, parse_object
from brainrouter.wire.turns import TURNS

_NUMBER = ("number", "null")
_FIELD_KINDS: dict[str, tuple[str, ...]] = {
    "stream": ("boolean", "null"),
    "max_tokens": _NUMBER,
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "top_k": _NUMBER,
    "stop_sequences": ("array", "null"),
    "system": ("string", "array", "null"),
    "tools": ("array", "null"),
    "tool_choice": ("object", "null"),
    "thinking": ("object", "null"),
    "output_config": ("object", "null"),
    "metadata": ("object", "null"),
}


def parse_messages(raw: bytes, headers: dict[str, str]) -> Ask:
    """The body of `POST /v1/messages` (or its count_tokens) as an Ask, or BadBody naming the field at fault."""
    body = parse_object(raw)
    _check_messages(body)
    return ask_of("messages", raw, body, headers, _FIELD_KINDS, lists=("tools", "system"))


def _check_messages(body: dict[str, Raw]) -> None:
    if "messages" not in body:
        raise BadBody("messages: this field is required", "messages")
    expect(body, "messages", "array")
    turns = decode_field(body, "messages", TURNS)
    if not turns:
        raise BadBody("messages: at least one message is required", "messages")
    for index, turn in enumerate(turns):
        if not turn.role:
            raise BadBody(f"messages[{index}].role: this field is required", f"messages[{index}].role")
        if memoryview(turn.content)[0] != 0x22:
            check_list(turn.content, f"messages[{index}].content", or_string=True)
