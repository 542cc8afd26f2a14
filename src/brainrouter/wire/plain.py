"""A request of the usual shape, read in one pass over its bytes. Every other one is for `field_checks` to judge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw

from brainrouter.remembered import remembered
from brainrouter.wire.ask import Ask, Dialect, Said
from brainrouter.wire.identity import harness_of, session_of

T = TypeVar("T")

ABSENT = Raw(b"null")
_HEADS_REMEMBERED = 128
_TELL_SESSION = ("metadata", "prompt_cache_key", "client_metadata")


def _who(headers: dict[str, str]) -> tuple[str | None, str | None]:
    return harness_of(headers), session_of(headers, {})


_who_asks = remembered(_who, _HEADS_REMEMBERED)


class Common(msgspec.Struct, kw_only=True):
    """What the dialects have in common. The last three may say whose conversation it is."""

    model: str | None = None
    stream: bool | None = None
    metadata: Raw = ABSENT
    prompt_cache_key: Raw = ABSENT
    client_metadata: Raw = ABSENT


def read_plain(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T | None:
    """A document as the decoder's type, or None when it is not of that shape, whatever the reason."""
    try:
        if not raw.isascii():
            raw.decode()
        return decoder.decode(raw)
    except (ValueError, RecursionError):
        return None


def plain_ask(
    dialect: Dialect,
    raw: bytes,
    plain: Common,
    turns: Sequence[Said],
    headers: dict[str, str],
    fields: dict[str, Raw] | None = None,
) -> Ask:
    """The Ask that a request of the usual shape makes. `fields` is for `Ask.fields`."""
    harness, session = _who_asks(headers)
    if not (ABSENT is plain.metadata is plain.prompt_cache_key is plain.client_metadata):
        session = session_of(headers, told_of(plain, _TELL_SESSION))
    return Ask(
        dialect,
        raw,
        plain.model or "auto",
        plain.stream is True,
        headers,
        session,
        harness,
        "",
        turns,
        fields,
    )


def told_of(plain: Common, names: Iterable[str]) -> dict[str, Raw]:
    """Those of the undecoded fields called `names` that the request has."""
    return {name: value for name in names if (value := getattr(plain, name)) is not ABSENT}
