"""A request for an upstream that speaks the caller's own dialect: as it came, less what was only ever ours."""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw

from brainrouter.wire.ask import Ask
from brainrouter.wire.json_body import with_fields
from brainrouter.wire.sealed import SEAL, is_ours

_SEAL = SEAL.encode()
# Where a request says `"model"` once, that is its model: within a text the quotes would have backslashes. (One who
# writes the key itself with escapes, and another of that name deeper inside, has only himself to blame.)
_KEY = b'"model"'
_NAMED = re.compile(rb'"model"\s*:\s*"([^"\\]*)"')
# The usual place, as JSON is usually written: as the first field it is nobody else's. (Measured: to look through 600 KB
# for another costs 260 us.)
_FIRST = (b'{"model":"', b'{"model": "')
Body = bytes | tuple[bytes | memoryview, ...]  # whole, or in pieces that follow one another
_COPIED_BELOW = 16 * 1024
_RAWS = msgspec.json.Decoder(list[Raw])
_OBJECT = msgspec.json.Decoder(dict[str, Raw])


class _Sealed(msgspec.Struct):
    type: str = ""
    signature: str | None = None
    encrypted_content: str | None = None


_SEALED = msgspec.json.Decoder(_Sealed)


def native_body(ask: Ask, model: str) -> Body:
    """The request's body with the model set, byte for byte where it can be; a large one in pieces, uncopied.

    What a local model thought earlier in the conversation is taken out: a provider refuses reasoning it did not sign.
    """
    if ask.dialect != "chat" and ask.raw.find(_SEAL) >= 0:
        name = "input" if ask.dialect == "responses" else "messages"
        return with_fields(
            ask.body, **{name: _without_ours(ask.body[name], ask.dialect == "messages")}, model=model
        )
    named = _named(ask.raw, ask.model.encode())
    if named is None:
        return with_fields(ask.body, model=model)
    if ask.model == model:
        return ask.raw
    start, end = named
    begins = ask.raw[:start] + msgspec.json.encode(model)[1:-1]
    if len(ask.raw) < _COPIED_BELOW:
        return begins + ask.raw[end:]
    return begins, memoryview(ask.raw)[end:]


def _named(raw: bytes, model: bytes) -> tuple[int, int] | None:
    """Where the body says `model` as its model, as the first field or as the only one of that name."""
    for opening in _FIRST:
        if raw.startswith(opening + model + b'"'):
            return len(opening), len(opening) + len(model)
    at = raw.find(_KEY)
    said = _NAMED.match(raw, at) if at >= 0 and raw.find(_KEY, at + 1) < 0 else None
    return said.span(1) if said is not None and said[1] == model else None


def _without_ours(rows: Raw, nested: bool) -> Raw | list[Raw]:
    """Rows (messages, or input items) without reasoning of ours; a message that held nothing else goes with it."""
    try:
        decoded = _RAWS.decode(rows)
        return [kept for row in decoded if (kept := _cleaned(row) if nested else _kept(row)) is not None]
    except (msgspec.DecodeError, RecursionError):
        return rows


def _cleaned(message: Raw) -> Raw | None:
    if _SEAL not in bytes(message):
        return message
    fields = _OBJECT.decode(message)
    content = fields.get("content", Raw(b"null"))
    if bytes(content)[:1] != b"[":
        return message
    blocks = [block for block in _RAWS.decode(content) if _kept(block) is not None]
    fields["content"] = Raw(msgspec.json.encode(blocks))
    return Raw(msgspec.json.encode(fields)) if blocks else None


def _kept(row: Raw) -> Raw | None:
    if _SEAL not in bytes(row):
        return row
    sealed = _SEALED.decode(row)
    ours = is_ours(sealed.signature) or is_ours(sealed.encrypted_content)
    return None if ours and sealed.type in ("thinking", "reasoning") else row
