"""OpenAI responses: a body checked for what must hold, and no more; everything else passes as it came."""

from __future__ import annotations

from typing import Any

import msgspec

from brainrouter.wire.ask import Ask
from brainrouter.wire.field_checks import NUMBER, OBJECTS, SWITCH, AnyObject, checked_ask, expect
from brainrouter.wire.json_body import BadBody, decode_field, kind_of, parse_object
from brainrouter.wire.plain import Common, plain_ask, read_plain
from brainrouter.wire.turns import Turn


class _Plain(Common, kw_only=True):
    """A request of the usual shape."""

    input: list[Turn]
    temperature: float | None = None
    top_p: float | None = None
    tools: list[AnyObject] | None = None
    store: bool | None = None
    background: bool | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: float | None = None
    instructions: str | list[Any] | None = None
    tool_choice: str | AnyObject | None = None
    text: AnyObject | None = None
    reasoning: AnyObject | None = None
    include: list[Any] | None = None
    previous_response_id: str | None = None


_PLAIN = msgspec.json.Decoder(_Plain)
_FIELD_KINDS: dict[str, tuple[str, ...]] = {
    "stream": SWITCH,
    "store": SWITCH,
    "background": SWITCH,
    "parallel_tool_calls": SWITCH,
    "max_output_tokens": NUMBER,
    "temperature": NUMBER,
    "top_p": NUMBER,
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
    plain = read_plain(raw, _PLAIN)
    if plain is not None and plain.input and bytes(plain.metadata)[:1] in b"{n":
        return plain_ask("responses", raw, plain, plain.input, headers)
    body = parse_object(raw)
    if "input" not in body:
        raise BadBody("input: this field is required", "input")
    expect(body, "input", "string", "array")
    if kind_of(body["input"]) == "array" and not decode_field(body, "input", OBJECTS):
        raise BadBody("input: at least one item is required", "input")
    return checked_ask("responses", raw, body, None, headers, _FIELD_KINDS)
