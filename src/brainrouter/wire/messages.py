"""Anthropic messages: a body checked for what must hold, and no more; everything else passes as it came."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from brainrouter.wire.ask import Ask
from brainrouter.wire.field_checks import (
    NUMBER,
    OBJECTS,
    SWITCH,
    check_content,
    checked_ask,
    rows_of,
)
from brainrouter.wire.json_body import TEXT, BadBody, kind_of, opening, parse_object
from brainrouter.wire.plain import ABSENT, Common, plain_ask, read_plain, told_of
from brainrouter.wire.turns import TURNS, Turn


class _Plain(Common, kw_only=True):
    """A request of the usual shape. What a translation reads is undecoded, and checked after."""

    messages: list[Turn]
    system: Raw = ABSENT
    tools: Raw = ABSENT
    max_tokens: Raw = ABSENT
    temperature: Raw = ABSENT
    top_p: Raw = ABSENT
    top_k: Raw = ABSENT
    stop_sequences: Raw = ABSENT
    tool_choice: Raw = ABSENT
    thinking: Raw = ABSENT
    output_config: Raw = ABSENT
    output_format: Raw = ABSENT


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
_LISTS = ("tools", "system")
_FIELDS = tuple(field for field in _Plain.__struct_fields__ if field not in ("model", "stream", "messages"))


def parse_messages(raw: bytes, headers: dict[str, str]) -> Ask:
    """The body of `POST /v1/messages` (or its count_tokens) as an Ask, or BadBody naming the field at fault."""
    plain = read_plain(raw, _PLAIN)
    if plain is not None and plain.messages and (fields := _fields_of(plain)) is not None:
        _check(plain.messages)
        return plain_ask("messages", raw, plain, plain.messages, headers, fields)
    body = parse_object(raw)
    turns = rows_of(body, "messages", TURNS)
    _check(turns)
    return checked_ask("messages", raw, body, turns, headers, _FIELD_KINDS, _LISTS)


def _fields_of(plain: _Plain) -> dict[str, Raw] | None:
    """The fields beside the conversation; None where one is not what it should be."""
    fields = told_of(plain, _FIELDS)
    for name, value in fields.items():
        kind = kind_of(value)
        if name in _FIELD_KINDS and kind not in _FIELD_KINDS[name]:
            return None
        if name in _LISTS and kind == "array" and not _holds_objects(value):
            return None
    return fields


def _holds_objects(rows: Raw) -> bool:
    try:
        OBJECTS.decode(rows)
    except (ValueError, RecursionError):
        return False
    return True


def _check(turns: Sequence[Turn]) -> None:
    for index, turn in enumerate(turns):
        if not turn.role:
            raise BadBody(f"messages[{index}].role: this field is required", f"messages[{index}].role")
        if opening(turn.content) != TEXT:  # most are text, and there are hundreds
            check_content(turn.content, f"messages[{index}].content")
