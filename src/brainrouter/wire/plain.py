"""A request of the usual shape, read in one pass over its bytes. Every other one is for `field_checks` to judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw

from brainrouter.remembered import Remembered
from brainrouter.wire.ask import Ask, Dialect, Said
from brainrouter.wire.field_checks import AnyObject
from brainrouter.wire.identity import harness_of, session_of

T = TypeVar("T")

_ABSENT = Raw(b"null")
_HEADS_REMEMBERED = 128
_harness = Remembered(harness_of, _HEADS_REMEMBERED)


class Common(msgspec.Struct, kw_only=True):
    """What the dialects have in common. The last three may say whose conversation it is."""

    model: str | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    tools: list[AnyObject] | None = None
    metadata: Raw = _ABSENT
    prompt_cache_key: Raw = _ABSENT
    client_metadata: Raw = _ABSENT


def read_plain(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T | None:
    """The request as the decoder's type, or None when it is not of that shape, whatever the reason."""
    try:
        if not raw.isascii():
            raw.decode()
        return decoder.decode(raw)
    except (ValueError, RecursionError):
        return None


def plain_ask(
    dialect: Dialect, raw: bytes, plain: Common, turns: Sequence[Said], headers: dict[str, str]
) -> Ask:
    """The Ask that a request of the usual shape makes."""
    said = {
        "metadata": plain.metadata,
        "prompt_cache_key": plain.prompt_cache_key,
        "client_metadata": plain.client_metadata,
    }
    told = {name: value for name, value in said.items() if value is not _ABSENT}
    return Ask(
        dialect,
        raw,
        plain.model or "auto",
        plain.stream is True,
        headers,
        session_of(headers, told),
        _harness(headers),
        "",
        turns,
    )
