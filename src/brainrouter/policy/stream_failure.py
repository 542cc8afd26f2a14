"""From what the wire room saw in an answer to a Failure. Pure."""

from __future__ import annotations

from brainrouter.policy import failure as kinds
from brainrouter.policy.failure import Failure, Kind
from brainrouter.policy.upstream_error import window_of
from brainrouter.wire.disguise import Disguise
from brainrouter.wire.watch import StreamWatch
from brainrouter.wire.whole import Facts

_DISGUISES: dict[str, Kind] = {
    "misconfigured": kinds.MISCONFIGURED,
    "budget": kinds.BUDGET_SPENT,
    "rate": kinds.RATE_LIMITED,
    "failure": kinds.UPSTREAM_ERROR,
}
_STREAM_KINDS: dict[str, Kind] = {
    "stub": kinds.MISCONFIGURED,
    "error_event": kinds.UPSTREAM_ERROR,
    "raw_error": kinds.UPSTREAM_ERROR,
    "malformed": kinds.MALFORMED,
    "overflow": kinds.MALFORMED,
    "context_too_long": kinds.CONTEXT_TOO_LONG,
    "empty": kinds.EMPTY_ANSWER,
    "truncated": kinds.TRUNCATED,
}


def failure_in_whole(disguise: Disguise | None, facts: Facts | None) -> Failure | None:
    """The failure that a 200 answer hides, if it hides one."""
    if disguise is not None:
        return _undisguised(disguise)
    if facts is not None and facts.empty:
        return Failure(kinds.EMPTY_ANSWER, "the answer holds neither text nor a tool call")
    return None


def failure_in_stream(stub: Disguise | None, watch: StreamWatch) -> Failure | None:
    """The failure that a stream has shown so far, if it has."""
    if stub is not None:
        return _undisguised(stub)
    found = watch.failure
    if found is None:
        return None
    if found.disguise is not None:
        return _undisguised(found.disguise)
    kind = _STREAM_KINDS.get(found.kind, kinds.MALFORMED)
    window = None
    if found.info is not None and found.info.overflow:
        kind, window = kinds.CONTEXT_TOO_LONG, window_of(found.info)
    return Failure(kind, found.message, window=window)


def _undisguised(disguise: Disguise) -> Failure:
    if disguise.info is not None and disguise.info.overflow:
        return Failure(kinds.CONTEXT_TOO_LONG, disguise.message, window=window_of(disguise.info))
    return Failure(_DISGUISES.get(disguise.kind, kinds.UPSTREAM_ERROR), disguise.message)
