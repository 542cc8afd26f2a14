"""A conversation keeps to its side: ten thousand turns, no tool pair split without a reason that is said."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from brainrouter.adapters.heads_file import load_heads
from brainrouter.brain import cascade
from brainrouter.brain.heads import Score
from brainrouter.brain.session import IDLE_S, Sessions
from brainrouter.brain.transcript import Step, Transcript
from brainrouter.brain.turn_kind import TurnKind
from brainrouter.brain.verdict import Verdict

HEADS = load_heads()
SCORES: dict[str, Score | None] = {}
ASKS = (
    "fix the typo in the readme", "find the race in the scheduler and remove it", "run the tests", "yes", "continue",
    "design a sync protocol for offline clients", "rename foo to bar", "that's still broken", "add a flag --json",
    "prove that this terminates", "make it lock-free", "what does this function return?", "ok",
)  # fmt: skip
RESULTS = (
    "ok",
    "12 passed",
    "3 failed, 9 passed",
    "Traceback (most recent call last)\nKeyError: 'x'",
    "file written",
)
TOOLS = ("read", "edit", "bash", "write")


@dataclass
class Talk:
    """One conversation of the corpus, as a harness would keep it."""

    key: str
    steps: list[Step] = field(default_factory=list)
    tokens: int = 4000
    pending: str | None = None  # which side made the call whose result comes next


def test_no_tool_pair_is_split_in_ten_thousand_turns_but_by_an_escalation_that_says_why() -> None:
    chance = np.random.default_rng(20)
    sessions, talks = Sessions(), [Talk(f"s{number}") for number in range(40)]
    here = cascade.Here(cloud=True, local=True, window=32_000, knob=0.15)
    now, turns, split, escalated, sides, switched_inside = 0.0, 0, 0, 0, set[str](), 0
    while turns < 10_000:
        talk = talks[int(chance.integers(len(talks)))]
        now += float(chance.exponential(20)) + (IDLE_S + 1 if chance.random() < 0.001 else 0)
        session = sessions.get(talk.key, now)
        kind = _next(talk, chance)
        text = next(step.text for step in reversed(talk.steps) if step.kind == "user")
        question = cascade.Question(
            kind, Transcript(tuple(talk.steps[-60:]), len(talk.steps), 1), text, (), talk.tokens
        )
        verdict = cascade.decide(question, session, here, _score(question))
        turns += 1
        sides.add(verdict.route)
        if kind == "continuation" and talk.pending is not None and verdict.route != talk.pending:
            split += 1
            assert (talk.pending, verdict.route) == ("local", "cloud"), "back to local inside a tool loop"
            if verdict.stage == "evidence":
                escalated += 1
                assert verdict.escalation
                assert verdict.reason.startswith("escalated: ")
            elif verdict.stage != "window":
                switched_inside += 1
        session.landed(verdict.route, None)
        _answer(talk, verdict, chance)
    assert sides == {"local", "cloud"}
    assert switched_inside == 0
    assert escalated > 0
    assert (
        split - escalated < 10
    )  # what is left outgrew the window in the middle of its loop: there is no other way


def _score(question: cascade.Question) -> Score | None:
    """The same words are asked thousands of times."""
    if question.text not in SCORES:
        SCORES[question.text] = cascade.score(HEADS, question)
    return SCORES[question.text]


def _next(talk: Talk, chance: np.random.Generator) -> TurnKind:
    """What the harness sends next: the result of a pending call, now and then a compaction, else a user's turn."""
    if talk.pending is not None:
        talk.steps.append(Step("result", str(chance.choice(RESULTS)), "", "c"))
        return "continuation"
    if talk.tokens > 20_000:
        talk.steps, talk.tokens = [Step("user", "a summary of what was done")], 4000
        return "compaction"
    talk.steps.append(Step("user", str(chance.choice(ASKS))))
    return "main"


def _answer(talk: Talk, verdict: Verdict, chance: np.random.Generator) -> None:
    talk.tokens += int(chance.integers(100, 900))
    if chance.random() < 0.75:
        talk.steps.append(Step("call", f'{{"x": {int(chance.integers(6))}}}', str(chance.choice(TOOLS)), "c"))
        talk.pending = verdict.route
    else:
        talk.steps.append(Step("assistant", "Done."))
        talk.pending = None


def test_an_escalated_session_stays_in_the_cloud_for_some_turns_and_comes_back_at_a_safe_point() -> None:
    session = Sessions().get("s", 0.0)
    session.landed("local", 1)
    here = cascade.Here(
        cloud=True, local=True, window=None, knob=9.0
    )  # a knob that would keep everything local
    told = [
        _turn(text, session, here)
        for text in ("no, that's wrong", "rename a to b", "add a comment", "sort it", "bump it")
    ]
    assert [verdict.route for verdict in told] == ["cloud", "cloud", "cloud", "cloud", "local"]
    assert told[0].escalation == "the user pushed back"
    assert told[1].reason == "still escalated: the user pushed back"


def test_a_compaction_lets_a_latch_go() -> None:
    session = Sessions().get("s", 0.0)
    session.landed("local", 1)
    here = cascade.Here(cloud=True, local=True, window=None, knob=9.0)
    assert _turn("that did not work", session, here).route == "cloud"
    session.landed("cloud", 2)
    cascade.decide(cascade.Question("compaction", Transcript((), 5, 1), "", (), 10), session, here, None)
    assert _turn("sort the list", session, here).route == "local"


def test_what_became_of_a_turn_is_known_by_the_next() -> None:
    session = Sessions().get("s", 0.0)
    here = cascade.Here(cloud=True, local=True, window=None, knob=9.0)
    assert _turn("rename a to b", session, here).outcome is None
    session.landed("local", 7)
    went_on = _turn("add a comment", session, here).outcome
    assert went_on is not None
    assert (went_on.event, went_on.ok) == (7, True)
    session.landed("local", 8)
    complained = _turn("still broken", session, here).outcome
    assert complained is not None
    assert (complained.event, complained.ok, complained.why) == (8, False, "the user pushed back")


def test_yes_and_continue_stay_where_the_session_is() -> None:
    for side in ("local", "cloud"):
        for text in ("yes", "Continue.", "ok, go ahead", "thanks"):
            session = Sessions().get("s", 0.0)
            session.landed(side, None)
            verdict = _turn(text, session, cascade.Here(cloud=True, local=True, window=None, knob=0.15))
            assert (verdict.route, verdict.stage) == (side, "session")


def test_sessions_are_bounded_and_a_rest_lets_go_of_all_but_the_side_of_an_open_loop() -> None:
    sessions = Sessions(kept=3)
    for number in range(9):
        sessions.get(f"s{number}", 0.0).landed("local", None)
    assert len(sessions) == 3
    sessions.get("s8", 1.0).latch("looped")
    assert sessions.get("s8", IDLE_S - 1).latched == "looped"
    rested = sessions.get("s8", 3 * IDLE_S)
    assert (rested.latched, rested.cold, rested.side) == (None, True, "local")


def test_a_private_project_never_leaves_whatever_is_asked() -> None:
    for asked in ("auto", "local", "cloud"):
        session = Sessions().get("s", 0.0)
        here = cascade.Here(
            cloud=True, local=True, window=10, knob=-9.0, private="rule secrets/**", asked=asked
        )
        verdict = cascade.decide(
            cascade.Question("main", Transcript((), 1, 1), "prove it", (), 99_999), session, here, None
        )
        assert (verdict.route, verdict.private) == ("local", True)


def _turn(text: str, session: object, here: cascade.Here) -> Verdict:
    question = cascade.Question("main", Transcript((Step("user", text),), 1, 1), text, (), 100)
    return cascade.decide(question, session, here, cascade.score(HEADS, question))  # pyright: ignore[reportArgumentType]
