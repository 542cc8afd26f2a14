"""What a client asked for: the body as it came, and the few facts the rest of the house needs of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal, Protocol

import msgspec

from brainrouter.wire.json_body import parse_object

Dialect = Literal["chat", "messages", "responses"]
Route = Literal["cloud", "local"]


class Said(Protocol):
    """One row of a conversation; `content` is undecoded JSON."""

    role: str
    content: msgspec.Raw


class Ask(msgspec.Struct, dict=True):
    """One request for a generation.

    `headers` has lower-case names; a name that came twice holds the first value. Requests with the same head share the
    object: it is never changed. `query` is the request's query string, without its question mark. `turns` are the
    conversation's rows where reading the request gave them, else None. `fields` are the other fields that the dialect
    knows, where reading gave them: like `body`, without its cost.
    """

    dialect: Dialect
    raw: bytes
    model: str
    stream: bool
    headers: dict[str, str] = {}
    session: str | None = None
    harness: str | None = None
    query: str = ""
    turns: Sequence[Said] | None = None
    fields: dict[str, msgspec.Raw] | None = None

    @cached_property
    def body(self) -> dict[str, msgspec.Raw]:
        """Every top-level field as undecoded JSON, in the order it came, so that nothing is lost or rebuilt."""
        return parse_object(self.raw)
