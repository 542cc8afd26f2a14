"""Which upstreams to try, in which order. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from brainrouter.policy.failure import BUSY, CONTEXT_TOO_LONG, Failure
from brainrouter.wire.ask import Route


class Attempt(msgspec.Struct, frozen=True):
    """One try at answering. `fallback` is empty for the first choice, else why this one stands in for it."""

    side: Route
    model: str
    fallback: str = ""

    @property
    def breaker(self) -> str:
        """The name of the circuit breaker that guards this attempt."""
        return "cloud" if self.side == "cloud" else f"local:{self.model}"


class Backends(msgspec.Struct, frozen=True):
    """What is there to be tried. `cloud_model` is None without a cloud, `local_model` None without a local one."""

    cloud_model: str | None
    local_model: str | None
    fallback_model: str | None


@lru_cache(maxsize=256)
def plan(route: Route, pinned: str | None, backends: Backends, *, may_leave: bool) -> tuple[Attempt, ...]:
    """The attempts for a request that was sent `route`, best first; empty when nothing is there.

    `pinned` is a local model that was asked for by name. `may_leave` says whether a request that was sent to the
    local side may end in the cloud: only one that nobody asked to keep local.
    """
    locals_ = _distinct(pinned or backends.local_model, backends.fallback_model)
    cloud = [] if backends.cloud_model is None else [backends.cloud_model]
    attempts: list[Attempt] = []
    if route == "cloud":
        attempts += [Attempt("cloud", model) for model in cloud]
        why = "cloud failed" if cloud else "no cloud"
        local_order = _distinct(backends.fallback_model, backends.local_model)
        attempts += [Attempt("local", model, why) for model in local_order]
    else:
        attempts += [
            Attempt("local", model, "local model failed" if i else "") for i, model in enumerate(locals_)
        ]
        if may_leave:
            why = "local failed" if locals_ else "no local model"
            attempts += [Attempt("cloud", model, why) for model in cloud]
    return tuple(attempts)


def next_after(attempts: Sequence[Attempt], tried: Attempt, failure: Failure) -> Attempt | None:
    """The attempt to try after `tried` failed, or None when the failure is the answer.

    A request that is too long for the local window moves to the cloud, never to another local model.
    """
    rest = list(attempts[attempts.index(tried) + 1 :])
    if failure.kind is CONTEXT_TOO_LONG and tried.side == "local":
        rest = [attempt for attempt in rest if attempt.side == "cloud"]
    elif not failure.kind.falls_back:
        return None
    return rest[0] if rest else None


def worth_telling(before: Failure | None, found: Failure, attempt: Attempt) -> Failure:
    """Which failure the caller hears of when `found` follows `before`: the last, with one exception.

    A request that the cloud failed and that is too long for the local side is worth another try, not a shorter prompt:
    told of the overflow, a harness would compact its conversation for an outage that passes.
    """
    overflow = found.kind is CONTEXT_TOO_LONG and attempt.side == "local"
    return before if overflow and before is not None and before.kind.falls_back else found


def last_word(failure: Failure | None, kept: str | None) -> Failure:
    """What the caller hears when nothing is left to try. `kept`: the rule by which the cloud was not asked."""
    if failure is None:
        missing = "no local model is there" if kept else "neither a cloud nor a local model is configured"
        failure = Failure(BUSY, missing)
    if kept and failure.kind is not CONTEXT_TOO_LONG:
        failure.message = f"{failure.message} ({kept}; the cloud was not asked)"
    return failure


def _distinct(*models: str | None) -> list[str]:
    return list(dict.fromkeys(model for model in models if model))
