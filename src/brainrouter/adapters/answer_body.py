"""The body of an upstream's answer: read whole, undone of its coding, decoded. What is wrong with it is a Failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from brainrouter.adapters.content_decoding import BadEncoding, decoder
from brainrouter.http1.client import Response
from brainrouter.http1.errors import TooLarge
from brainrouter.policy import failure as kinds
from brainrouter.policy.failure import Failure
from brainrouter.wire.json_body import parse_object


async def read_all(response: Response, headers: dict[str, str], limit: int, idle_s: float) -> bytes:
    """At most `limit` bytes, plain. Raises Failure, and what the transport raises."""
    try:
        body = response.at_hand(limit)
        if body is None:
            body = await response.read(limit, idle_s)
        return body_decoder(headers, limit)(body)
    except TooLarge as error:
        raise Failure(kinds.MALFORMED, f"an answer of more than {limit} bytes") from error
    except BadEncoding as error:
        raise Failure(kinds.MALFORMED, str(error)) from error


def object_of(body: bytes) -> dict[str, Any]:
    """A JSON object, decoded. Raises BadBody."""
    return {name: msgspec.json.decode(value) for name, value in parse_object(body).items()}


def body_decoder(headers: dict[str, str], limit: int | None = None) -> Callable[[bytes], bytes]:
    """What makes the body's pieces plain, by its headers. Raises Failure for a coding that is not read."""
    try:
        return decoder(headers.get("content-encoding", ""), limit)
    except BadEncoding as error:
        raise Failure(kinds.MALFORMED, str(error)) from error
