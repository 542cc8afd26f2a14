"""The circuit breaker, against a model that remembers only what the rules say."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from brainrouter.policy import breaker as breakers
from brainrouter.policy.breaker import (
    FAILURES_TO_OPEN,
    OPEN_S,
    PROBE_PATIENCE_S,
    RETRY_AFTER_MAX_S,
    Breaker,
    abandoned,
    admits,
    failed,
    sent,
    succeeded,
)


def opened(now: float = 0.0) -> Breaker:
    state = Breaker()
    for _ in range(FAILURES_TO_OPEN):
        state = failed(state, now, "boom")
    return state


def test_the_figures_are_the_promised_ones() -> None:
    assert (FAILURES_TO_OPEN, OPEN_S, RETRY_AFTER_MAX_S) == (3, 60.0, 300.0)


def test_two_failures_leave_it_closed_and_the_third_opens_it_for_a_minute() -> None:
    state = failed(failed(Breaker(), 0, "a"), 1, "b")
    assert (state.phase(1), admits(state, 1)) == ("closed", True)
    state = failed(state, 2, "c")
    assert (state.phase(2), admits(state, 2), admits(state, 61.99)) == ("open", False, False)
    assert (state.phase(62), admits(state, 62), state.cause) == ("half_open", True, "c")


def test_a_success_between_failures_starts_the_count_again() -> None:
    state = failed(failed(Breaker(), 0, "a"), 0, "a")
    state = failed(failed(succeeded(state), 0, "a"), 0, "a")
    assert state.phase(0) == "closed"


def test_of_two_hundred_waiting_requests_exactly_one_probes() -> None:
    state, admitted = opened(), 0
    for _ in range(200):
        if admits(state, 60.0):
            admitted += 1
            state = sent(state, 60.0)
    assert admitted == 1


def test_a_probe_that_succeeds_closes_and_one_that_fails_opens_again() -> None:
    probing = sent(opened(), 60.0)
    assert succeeded(probing) == Breaker()
    again = failed(probing, 61.0, "still")
    assert (again.phase(61.0), again.phase(120.9), again.phase(121.0)) == ("open", "open", "half_open")
    assert admits(again, 121.0)


def test_a_probe_whose_client_left_frees_the_place_for_the_next() -> None:
    probing = sent(opened(), 60.0)
    assert not admits(probing, 61.0)
    assert admits(abandoned(probing), 61.0)


def test_a_probe_that_was_never_heard_of_again_is_given_up() -> None:
    probing = sent(opened(), 60.0)
    assert not admits(probing, 60.0 + PROBE_PATIENCE_S)
    assert admits(probing, 60.1 + PROBE_PATIENCE_S)


def test_retry_after_opens_at_once_for_as_long_as_was_asked_up_to_five_minutes() -> None:
    assert not admits(failed(Breaker(), 0, "429", 7.0), 6.9)
    assert admits(failed(Breaker(), 0, "429", 7.0), 7.0)
    assert failed(Breaker(), 0, "429", 1e9).open_until == RETRY_AFTER_MAX_S
    assert admits(failed(Breaker(), 0, "429", -5.0), 0)


class BreakerRules(RuleBasedStateMachine):
    """What may happen to one upstream, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.state = Breaker()
        self.now = 1000.0
        self.in_a_row = 0
        self.open_until: float | None = None
        self.probe: float | None = None

    @rule(seconds=st.sampled_from([0.0, 0.5, 10.0, 59.0, 60.0, 61.0, 301.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_request_comes(self) -> None:
        half_open = self.open_until is not None and self.now >= self.open_until
        free = self.probe is None or self.now - self.probe > PROBE_PATIENCE_S
        expected = self.open_until is None or (half_open and free)
        assert admits(self.state, self.now) is expected
        if expected:
            self.state = sent(self.state, self.now)
            if half_open:
                self.probe = self.now

    @precondition(lambda self: self.open_until is None or self.probe is not None)
    @rule()
    def an_answer_comes(self) -> None:
        self.state = succeeded(self.state)
        self.in_a_row, self.open_until, self.probe = 0, None, None

    @rule(retry=st.none() | st.floats(-10, 1e6))
    def a_request_fails(self, retry: float | None) -> None:
        self.state = failed(self.state, self.now, "boom", retry)
        self.in_a_row += 1
        self.probe = None
        if retry is not None:
            self.open_until = max(self.now + min(max(retry, 0.0), 300.0), self.open_until or 0.0)
        elif self.in_a_row >= 3 or self.open_until is not None:
            self.open_until = max(self.now + 60.0, self.open_until or 0.0)

    @rule()
    def the_client_leaves(self) -> None:
        self.state = abandoned(self.state)
        self.probe = None

    @invariant()
    def the_phase_follows_the_clock(self) -> None:
        wanted = (
            "closed" if self.open_until is None else "open" if self.now < self.open_until else "half_open"
        )
        assert self.state.phase(self.now) == wanted
        assert self.state.open_until == self.open_until

    @invariant()
    def it_is_never_open_for_longer_than_five_minutes(self) -> None:
        assert self.state.open_until is None or self.state.open_until - self.now <= RETRY_AFTER_MAX_S

    @invariant()
    def asking_changes_nothing(self) -> None:
        before = self.state
        breakers.admits(self.state, self.now)
        assert self.state == before


BreakerRules.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
test_any_order_of_events_keeps_the_rules = BreakerRules.TestCase
