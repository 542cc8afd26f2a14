"""From an upstream's error status and body to a Failure. Pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from brainrouter.policy import failure as kinds
from brainrouter.policy.failure import Failure, Kind
from brainrouter.wire.ask import Route
from brainrouter.wire.disguise import ErrorInfo, error_message
from brainrouter.wire.secret_shapes import masked_json

RETRY_AFTER_MAX_S = 86_400.0


def failure_of(side: Route, status: int, headers: dict[str, str], body: bytes, now: datetime) -> Failure:
    """What a non-2xx answer means. `now` is the wall clock, for a Retry-After given as a date."""
    info = error_message(body)
    kind = _kind(side, status, info)
    wait = retry_after(headers.get("retry-after"), now)
    seen = status if 400 <= status < 600 else 502
    message = info.message or f"the {side} side answered with status {status}"
    # Some upstreams repeat the key that they refuse.
    own_body = masked_json(body) if side == "cloud" and body else None
    return Failure(kind, message, status=seen, retry_after_s=wait, body=own_body, window=window_of(info))


def _kind(side: Route, status: int, info: ErrorInfo) -> Kind:
    if info.overflow:
        return kinds.CONTEXT_TOO_LONG
    if status in (401, 403):
        return kinds.UNAUTHORISED
    if status == 402:
        return kinds.BUDGET_SPENT
    if status == 429:
        return kinds.RATE_LIMITED
    if status == 404 and side == "local":
        return kinds.UNKNOWN_MODEL
    if status == 408 or status >= 500:
        return kinds.UPSTREAM_ERROR
    if 400 <= status < 500:
        return kinds.REFUSED
    return kinds.MALFORMED


def window_of(info: ErrorInfo) -> tuple[int, int] | None:
    """(tokens of the request, tokens that fit), where the error says both."""
    if info.n_prompt_tokens is None or info.n_ctx is None:
        return None
    return info.n_prompt_tokens, info.n_ctx


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for: a number or a date; None when absent or unreadable."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _until(value, now)
    return min(max(0.0, seconds), RETRY_AFTER_MAX_S) if math.isfinite(seconds) else None


def _until(value: str, now: datetime) -> float | None:
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return min(max(0.0, (when - now).total_seconds()), RETRY_AFTER_MAX_S)
