"""A request that is not of the usual shape, checked field by field: which one is at fault, if one is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw

from brainrouter.wire.ask import Ask, Dialect, Said
from brainrouter.wire.identity import harness_of, session_of
from brainrouter.wire.json_body import BadBody, decode_field, kind_of

T = TypeVar("T")

NUMBER = ("number", "null")
SWITCH = ("boolean", "null")


class AnyObject(msgspec.Struct):
    """Any JSON object."""


OBJECTS = msgspec.json.Decoder(list[AnyObject])
_TEXT = msgspec.json.Decoder(str)


def checked_ask(
    dialect: Dialect,
    raw: bytes,
    body: dict[str, Raw],
    turns: Sequence[Said] | None,
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
        model=_model_of(body),
        stream="stream" in body and bytes(body["stream"]) == b"true",
        headers=headers,
        session=session_of(headers, body),
        harness=harness_of(headers),
        turns=turns,
    )


def expect(body: dict[str, Raw], name: str, *kinds: str) -> None:
    """Refuse a field whose JSON value is none of `kinds`."""
    kind = kind_of(body[name])
    if kind not in kinds:
        raise BadBody(f"{name}: expected {' or '.join(kinds)}, got {kind}", name)


def rows_of(body: dict[str, Raw], name: str, decoder: msgspec.json.Decoder[list[T]]) -> list[T]:
    """The rows of the conversation. Raises BadBody when the field is absent, another kind, or empty."""
    if name not in body:
        raise BadBody(f"{name}: this field is required", name)
    expect(body, name, "array")
    rows = decode_field(body, name, decoder)
    if not rows:
        raise BadBody(f"{name}: at least one message is required", name)
    return rows


def check_content(value: Raw, path: str) -> None:
    """Refuse a message's content that is neither text, nor a list of objects, nor null."""
    check_list(value, path, or_string=True)


def check_list(value: Raw, path: str, *, or_string: bool = False) -> None:
    """Refuse what is neither a list of objects nor null (nor a string)."""
    kind = kind_of(value)
    if kind == "array":
        decode_field({path: value}, path, OBJECTS)
    elif kind != "null" and not (or_string and kind == "string"):
        raise BadBody(f"{path}: expected {'string, ' if or_string else ''}array or null, got {kind}", path)


def _model_of(body: dict[str, Raw]) -> str:
    """The model asked for: "auto" when none is named."""
    if "model" not in body or kind_of(body["model"]) == "null":
        return "auto"
    return decode_field(body, "model", _TEXT) or "auto"
