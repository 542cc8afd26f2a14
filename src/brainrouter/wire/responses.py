"""OpenAI responses: a body checked for what must hold, and no more; everything else passes as it came."""

from __future__ import annotations

from msgspec import Raw

from brainrouter.wire.ask import Ask
from brainrouter.wire.chat import OBJECTS, ask_of, expect
from brainrouter.wire.json_body import BadBody, decode_field, kind_of, parse_object

_NUMBER = ("number", "null")
_SWITCH = ("boolean", "null")
_FIELD_KINDS: dict[str, tuple[str, ...]] = {
    "stream": _SWITCH,
    "store": _SWITCH,
    "background": _SWITCH,
    "parallel_tool_calls": _SWITCH,
    "max_output_tokens": _NUMBER,
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "instructions": ("string", "array", "null"),
    "tools": ("array", "null"),
    "tool_choice": ("string", "object", "null"),
    "text": ("object", "null"),
    "reasoning": ("object", "null"),
    "include": ("array", "null"),
    "metadata": ("object", "null"),
    "previous_response_id": ("string", "null"),
}


def parse_responses(raw: bytes, headers: dict[str, str]) -> Ask:
    """The body of `POST /v1/responses` as an Ask, or BadBody naming the field at fault."""
    body = parse_object(raw)
    _check_input(body)
    return ask_of("responses", raw, body, headers, _FIELD_KINDS)


def _check_input(body: dict[str, Raw]) -> None:
    if "input" not in body:
        raise BadBody("input: this field is required", "input")
    expect(body, "input", "string", "array")
    if kind_of(body["input"]) == "array" and not decode_field(body, "input", OBJECTS):
        raise BadBody("input: at least one item is required", "input")
