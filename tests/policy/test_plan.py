"""Which upstreams are tried, in which order, and when the trying ends."""

from __future__ import annotations

import itertools

import pytest

from brainrouter.policy import failure as kinds
from brainrouter.policy.failure import CONTEXT_TOO_LONG, UNREACHABLE, Failure, Kind
from brainrouter.policy.plan import Attempt, Backends, next_after, plan, worth_telling
from brainrouter.wire.ask import Route

KINDS = [value for value in vars(kinds).values() if isinstance(value, Kind)]

C, L, F, P = "auto", "usual", "spare", "pinned"


@pytest.mark.parametrize(
    ("route", "pinned", "backends", "may_leave", "expected"),
    [
        # the cloud, then the local side: its fallback model first
        ("cloud", None, (C, L, F), True, ["cloud auto", "local spare cloud failed", "local usual cloud failed"]),
        ("cloud", None, (C, L, F), False, ["cloud auto", "local spare cloud failed", "local usual cloud failed"]),
        ("cloud", None, (C, L, None), True, ["cloud auto", "local usual cloud failed"]),
        ("cloud", None, (C, F, F), True, ["cloud auto", "local spare cloud failed"]),
        ("cloud", None, (C, None, None), True, ["cloud auto"]),
        ("cloud", None, (None, L, F), True, ["local spare no cloud", "local usual no cloud"]),
        ("cloud", None, (None, None, None), True, []),
        # local, then another local model, then the cloud if nobody asked to stay
        ("local", None, (C, L, F), True, ["local usual", "local spare local model failed", "cloud auto local failed"]),
        ("local", None, (C, L, F), False, ["local usual", "local spare local model failed"]),
        ("local", None, (C, F, F), False, ["local spare"]),
        ("local", None, (None, L, None), True, ["local usual"]),
        ("local", None, (C, None, None), True, ["cloud auto no local model"]),
        ("local", None, (C, None, None), False, []),
        ("local", P, (C, L, F), False, ["local pinned", "local spare local model failed"]),
        ("local", P, (C, L, None), False, ["local pinned"]),
        ("local", F, (C, L, F), False, ["local spare"]),
        ("local", P, (None, None, None), False, ["local pinned"]),
    ],
)  # fmt: skip
def test_the_attempts_and_their_order(
    route: Route,
    pinned: str | None,
    backends: tuple[str | None, str | None, str | None],
    may_leave: bool,
    expected: list[str],
) -> None:
    found = plan(route, pinned, Backends(*backends), may_leave=may_leave)
    assert [f"{a.side} {a.model} {a.fallback}".strip() for a in found] == expected


@pytest.mark.parametrize("route", ["cloud", "local"])
@pytest.mark.parametrize("may_leave", [True, False])
def test_every_combination_keeps_the_promises(route: Route, may_leave: bool) -> None:
    for cloud, local, fallback, pinned in itertools.product(
        (None, C), (None, L), (None, F, L), (None, P, L, F)
    ):
        attempts = plan(route, pinned, Backends(cloud, local, fallback), may_leave=may_leave)
        targets = [(attempt.side, attempt.model) for attempt in attempts]
        assert len(targets) == len(set(targets))
        assert all(attempt.fallback for attempt in attempts[1:])
        if route == "local" and not may_leave:
            assert all(side == "local" for side, _ in targets)
        if cloud and route == "cloud":
            assert attempts[0] == Attempt("cloud", C)
        if route == "local" and (pinned or local or fallback):
            assert attempts[0].fallback == ""
            assert attempts[0].side == "local"


def test_each_local_model_has_a_breaker_of_its_own_and_the_cloud_one() -> None:
    assert Attempt("cloud", "auto").breaker == Attempt("cloud", "other").breaker == "cloud"
    assert Attempt("local", "a").breaker != Attempt("local", "b").breaker


AUTO = plan("local", None, Backends(C, L, F), may_leave=True)
CLOUD = plan("cloud", None, Backends(C, L, F), may_leave=True)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_failure_moves_on_exactly_when_its_kind_says_so(kind: Kind) -> None:
    following = next_after(CLOUD, CLOUD[0], Failure(kind, "x"))
    assert following == (CLOUD[1] if kind.falls_back else None)


def test_a_request_too_long_for_the_local_window_skips_other_local_models() -> None:
    too_long = Failure(kinds.CONTEXT_TOO_LONG, "x")
    assert next_after(AUTO, AUTO[0], too_long) == Attempt("cloud", C, "local failed")
    stay = plan("local", None, Backends(C, L, F), may_leave=False)
    assert next_after(stay, stay[0], too_long) is None


def test_a_request_too_long_for_the_cloud_is_the_answer() -> None:
    assert next_after(CLOUD, CLOUD[0], Failure(kinds.CONTEXT_TOO_LONG, "x")) is None


def test_after_the_last_attempt_the_failure_is_the_answer() -> None:
    assert next_after(AUTO, AUTO[-1], Failure(kinds.UNREACHABLE, "x")) is None


def test_what_the_caller_or_we_did_wrong_is_never_counted_against_an_upstream() -> None:
    innocent = {
        "refused",
        "context_too_long",
        "unknown_model",
        "unauthorised",
        "breaker_open",
        "busy",
        "not_translatable",
        "internal",
    }
    assert {kind.name for kind in KINDS if not kind.trips} == innocent | {
        "total_timeout",
        "rate_limited",
        "unfit_answer",
    }
    assert {kind.name for kind in KINDS if not kind.falls_back} == {
        "refused",
        "context_too_long",
        "internal",
    }


def test_an_overflow_of_the_stand_in_does_not_hide_that_the_cloud_failed() -> None:
    cloud, local = Attempt("cloud", "auto"), Attempt("local", "small", "cloud failed")
    outage, overflow = Failure(UNREACHABLE, "away"), Failure(CONTEXT_TOO_LONG, "too long")
    assert worth_telling(None, outage, cloud) is outage
    assert worth_telling(outage, overflow, local) is outage
    assert worth_telling(None, overflow, local) is overflow
    assert worth_telling(overflow, outage, cloud) is outage
