"""A Failure in the caller's own dialect: status, headers, body. Pure."""

from __future__ import annotations

import math

from brainrouter.policy import failure as kinds
from brainrouter.policy.failure import Failure
from brainrouter.wire.ask import Dialect
from brainrouter.wire.error_body import error_body, error_frame, overflow_message

RETRY_AFTER_DEFAULT_S = 5


def overflow_frame(window: tuple[int, int] | None) -> bytes:
    """A whole responses stream that says the request does not fit.

    OpenAI says it in the stream, and only there does Codex read it: it compacts then, where a 400 ends its run.
    """
    message = overflow_message("responses", *(window or (None, None)))
    return error_frame("responses", status=400, message=message, kind=kinds.CONTEXT_TOO_LONG.name)


def error_reply(dialect: Dialect, failure: Failure) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    """What the caller gets when no attempt is left.

    The cloud speaks the caller's dialect, so its own words are passed on where it refused the request itself. A 429 or
    503 always says when to come back: Codex gives up for good on a 429 without it.
    """
    status = failure.status
    headers: tuple[tuple[str, str], ...] = ()
    if status in (429, 503) or failure.retry_after_s is not None:
        seconds = RETRY_AFTER_DEFAULT_S if failure.retry_after_s is None else failure.retry_after_s
        headers = (("retry-after", str(max(1, math.ceil(seconds)))),)
    if failure.body is not None and failure.kind is kinds.REFUSED and failure.body.lstrip()[:1] == b"{":
        return status, headers, failure.body
    if failure.kind is kinds.CONTEXT_TOO_LONG:
        message = overflow_message(dialect, *(failure.window or (None, None)))
        return 400, headers, error_body(dialect, status=400, message=message, kind=failure.kind.name)
    return (
        status,
        headers,
        error_body(dialect, status=status, message=failure.message, kind=failure.kind.name),
    )
