"""The record every request leaves behind: what `/api/routing-events`, the store and the log say of it."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import structs


class RoutingEvent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One request, from arrival to its last byte. Times are wall-clock seconds; durations are milliseconds.

    A field that is not known is None, never invented: tokens and price come only from what an upstream said. As JSON,
    which the store and the log keep, it says only what is known: half of the bytes. See `shown`.
    """

    id: int
    time: float
    dialect: str
    requested_model: str
    stream: bool
    harness: str | None = None
    session: str | None = None
    cwd: str | None = None
    # what the decision knows the conversation by, with or without an id of the client's; where a person pinned it to
    conversation: str | None = None
    pinned: str | None = None
    prompt_excerpt: str = ""
    # the round, where it is a review that asks; `session` is the review's id then
    iteration: int | None = None
    # the decision
    decision: str | None = None
    reason: str = ""
    stage: str = ""
    ok_local: float | None = None
    ok_cloud: float | None = None
    gain: float | None = None
    knob: float | None = None
    turn_kind: str | None = None
    escalation: str | None = None
    # what this request tells of an earlier one of its session: the event's id, whether its answer was good enough
    outcome_of: int | None = None
    outcome_ok: bool | None = None
    outcome_why: str | None = None
    decide_ms: float | None = None
    # what happened: `side` is where it was answered, which differs from the decision after a fallback
    side: str | None = None
    provider: str | None = None
    model: str | None = None
    fallback: str | None = None
    mended: str | None = None
    attempts: list[str] = []
    status: int | None = None
    error: str | None = None
    first_byte_ms: float | None = None
    total_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    # what a local model was spared, by estimate: the prompt's tokens as they came and as they were sent, the seconds
    # that reading the difference would take at the model's last measured speed with nothing cached, and a remark
    lean_tokens_before: int | None = None
    lean_tokens: int | None = None
    lean_saved_s: float | None = None
    lean_note: str | None = None
    # how often the model asked for tools that wait, and was answered by us within the request
    lean_searches: int | None = None
    finish: str | None = None


def shown(event: RoutingEvent) -> dict[str, Any]:
    """The event as the API shows it: every field, null where it is not known."""
    return structs.asdict(event)
