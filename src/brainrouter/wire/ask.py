"""What a client asked for: the body as it came, and the few facts the rest of the house needs of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import msgspec

Dialect = Literal["chat", "messages", "responses"]
Route = Literal["cloud", "local"]


@dataclass(slots=True)
class Ask:
    """One request for a generation.

    `body` holds every top-level field as undecoded JSON, in the order it came, so that nothing is lost or
    rebuilt on the way to an upstream that speaks the same dialect. `headers` has lower-case names; a name that
    came twice holds the first value. `query` is the request's query string, without its question mark.
    """

    dialect: Dialect
    raw: bytes
    body: dict[str, msgspec.Raw]
    model: str
    stream: bool
    headers: dict[str, str] = field(default_factory=dict[str, str])
    session: str | None = None
    harness: str | None = None
    query: str = ""
