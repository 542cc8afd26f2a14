"""Anthropic messages: a body checked for what must hold, and no more; everything else passes as it came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from brainrouter.wire.ask import Ask
from brainrouter.wire.field_checks import (
    NUMBER,
    QUOTE,
    SWITCH,
    AnyObject,
    check_content,
    checked_ask,
    rows_of,
)
from brainrouter.wire.json_body import BadBody, parse_object
from brainrouter.wire.plain import Common, plain_ask, read_plain
from brainrouter.wire.turns import TURNS, Turn


class _Plain(Common, kw_only=True):
    """A request of the usual shape."""

    messages: list[Turn]
    system: str | list[AnyObject] | None = None
    max_tokens: float | None = None
    top_k: float | None = None
    stop_sequences: list[Any] | None = None
    tool_choice: AnyObject | None = None
    thinking: AnyObject | None = None
    output_config: AnyObject | None = None


_PLAIN = msgspec.json.Decoder(_Plain)
_FIELD_KINDS: dict[str, tuple[str, ...]] = {
    "stream": SWITCH,
    "max_tokens": NUMBER,
    "temperature": NUMBER,
    "top_p": NUMBER,
    "top_k": NUMBER,
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
    plain = read_plain(raw, _PLAIN)
    if plain is not None and plain.messages and bytes(plain.metadata)[:1] in b"{n":
        _check(plain.messages)
        return plain_ask("messages", raw, plain, plain.messages, headers)
    body = parse_object(raw)
    turns = rows_of(body, "messages", TURNS)
    _check(turns)
    return checked_ask("messages", raw, body, turns, headers, _FIELD_KINDS, lists=("tools", "system"))


def _check(turns: Sequence[Turn]) -> None:
    for index, turn in enumerate(turns):
        if not turn.role:
            raise BadBody(f"messages[{index}].role: this field is required", f"messages[{index}].role")
        if memoryview(turn.content)[0] != QUOTE:  # most are text, and there are hundreds
            check_content(turn.content, f"messages[{index}].content")
