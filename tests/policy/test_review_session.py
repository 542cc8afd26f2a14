"""The states of a review, and that none of them goes round in circles."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from brainrouter.policy import review_session as states
from brainrouter.policy.review_session import Outcome, Session, WrongState

STATUSES = {"pending", "approved", "needs_revision", "escalated"}


STUBBORN: tuple[states.Status, ...] = ("needs_revision",) * 5


def fresh(rounds: int = 5) -> Session:
    return Session("id", "task", "/p", "summary", 1.0, 1.0, rounds, granted=rounds)


def played(*statuses: states.Status, rounds: int = 5) -> Session:
    session = fresh(rounds)
    for status in statuses:
        opened = states.begin_round(session, 2.0)
        opened.digest = f"digest{opened.iteration}"
        states.end_round(
            session, Outcome(status, "words", reason="why" if status == "escalated" else None), 3.0
        )
    return session


def test_the_last_round_that_does_not_approve_escalates_with_the_reason():
    session = played(*STUBBORN)
    assert (session.status, session.reason) == ("escalated", "not approved after 5 rounds")
    assert session.messages[-1].role == "system"
    assert played(*STUBBORN[:4], "approved").status == "approved"


@pytest.mark.parametrize("word", ["lgtm", "ok", "approved", " LGTM\n", "Ok", "APPROVED"])
def test_exactly_these_words_approve(word: str):
    session = played("escalated")
    states.resolve(session, word, 4.0)
    assert (session.status, session.reviewer_type) == ("approved", "human")


@pytest.mark.parametrize(
    "words", ["okay", "ok.", "okay, but no", "lgtm!", "not approved", "approve", "ok ok"]
)
def test_any_other_word_asks_for_changes(words: str):
    session = played("escalated")
    states.resolve(session, words, 4.0)
    assert (session.status, states.feedback_of(session)) == ("needs_revision", words)


def test_a_person_who_asks_for_changes_grants_the_rounds_for_them():
    session = played(*STUBBORN)
    states.resolve(session, "do it so", 4.0)
    assert session.max_iterations == 10
    states.begin_round(session, 5.0)
    states.end_round(session, Outcome("needs_revision", "still"), 6.0)
    assert session.status == "needs_revision"


def test_unchanged_code_is_judged_already_and_ends_with_a_person():
    session = played("needs_revision")
    assert states.judged(session, "digest1")
    assert not states.judged(session, "digest2")
    states.still_unchanged(session, 4.0)
    assert session.unchanged == 0  # its result was never handed over
    session.rounds[-1].delivered = True
    for _ in range(states.UNCHANGED_MAX):
        states.still_unchanged(session, 4.0)
    assert session.status == "escalated"
    assert not states.judged(session, "digest1")


def test_an_interrupted_round_is_taken_up_as_the_same_iteration():
    session = fresh()
    states.begin_round(session, 1.0)
    states.interrupt(session, 2.0)
    assert (session.status, session.interrupted, session.running) == ("pending", True, False)
    states.begin_round(session, 3.0)
    assert (session.iteration, session.interrupted, session.running) == (1, False, True)


def test_steps_that_a_state_does_not_allow_are_refused():
    running = fresh()
    states.begin_round(running, 1.0)
    with pytest.raises(WrongState):
        states.begin_round(running, 2.0)
    with pytest.raises(WrongState):
        states.resolve(running, "lgtm", 2.0)
    with pytest.raises(WrongState):
        states.begin_round(played("approved"), 2.0)
    with pytest.raises(WrongState):
        states.resolve(played("escalated"), "  ", 2.0)


class Life(RuleBasedStateMachine):
    """Any order of steps: the status stays one of four, and a harness alone comes to an end."""

    def __init__(self) -> None:
        super().__init__()
        self.session = fresh(3)
        self.rounds_without_a_person = 0

    @precondition(
        lambda self: not self.session.running and self.session.status in ("pending", "needs_revision")
    )
    @rule(status=st.sampled_from(["approved", "needs_revision", "escalated"]))
    def ask(self, status: states.Status) -> None:
        states.ask_again(self.session, "s", None, [], 1.0)
        states.begin_round(self.session, 1.0)
        states.end_round(
            self.session, Outcome(status, "x", reason="r" if status == "escalated" else None), 1.0
        )
        self.rounds_without_a_person += 1

    @precondition(
        lambda self: not self.session.running and self.session.status in ("pending", "needs_revision")
    )
    @rule()
    def be_killed(self) -> None:
        states.begin_round(self.session, 1.0)
        states.interrupt(self.session, 1.0)

    @precondition(lambda self: not self.session.running)
    @rule(words=st.sampled_from(["lgtm", "change it"]))
    def decide(self, words: str) -> None:
        states.resolve(self.session, words, 1.0)
        self.rounds_without_a_person = 0

    @invariant()
    def the_status_is_one_of_four(self) -> None:
        assert self.session.status in STATUSES
        assert (self.session.reason is not None) >= (self.session.status == "escalated")

    @invariant()
    def a_harness_alone_comes_to_an_end(self) -> None:
        assert self.rounds_without_a_person <= self.session.granted + 3


TestLife = Life.TestCase
