"""A turn for a local model: the harness' prose goes, all else stays, and the prefix stands still."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainrouter.policy.adapt import adapt
from brainrouter.policy.lean.offer import NOTHING, offer
from brainrouter.policy.lean.prompt import BRIEF_PROMPT, LEAN_PROMPT
from brainrouter.policy.lean.stable import steady
from brainrouter.policy.lean.turn import lean_turn
from tests.policy.deferred import TOOLS
from tests.policy.lean_sessions import HARNESSES, KNOWN, PROSE, Session

every_harness = pytest.mark.parametrize("harness", HARNESSES)
# Words that a person writes: printable, with line breaks and markup of every kind.
WORDS = st.lists(
    st.sampled_from(
        ["# Tone", "```", "- yes", "Use tabs.", "", "---", "<b>", "made: 1", "x" * 40, "§ a", "/home/x"]
    ),
    min_size=1,
    max_size=8,
).map("\n".join)


def sent(turn: Any) -> list[bytes]:
    """What goes over the wire, message by message, after the tools: what a server's prompt cache sees."""
    return [
        json.dumps(turn.offer.tools).encode(),
        *(json.dumps(message).encode() for message in adapt(turn.messages)),
    ]


def told(turn: Any) -> str:
    return json.dumps(turn.messages, ensure_ascii=False)


@every_harness
def test_the_checklist_is_kept_and_the_prose_is_gone(harness: str) -> None:
    session = Session(harness)
    turn = session.turn(2)
    for name, part in session.kept().items():
        assert json.dumps(part, ensure_ascii=False)[1:-1] in told(turn), name
    assert PROSE.split("\n", 1)[0] not in told(turn)
    assert turn.messages[0]["content"].startswith(LEAN_PROMPT.strip())
    assert turn.saving.note == ""
    assert turn.saving.after < turn.saving.before * 0.5


@pytest.mark.parametrize("slimming", [0, 1, 2])
@every_harness
def test_fifty_turns_have_one_prefix(harness: str, slimming: int) -> None:
    session = Session(harness)
    before: list[bytes] = []
    for number in range(50):
        now = sent(session.turn(number, slimming=slimming))
        assert now[: len(before)] == before
        before = now


@every_harness
@settings(max_examples=25, deadline=None)
@given(rules=WORDS, appended=WORDS, prompt=WORDS, turns=st.integers(0, 3))
def test_whatever_the_user_wrote_reaches_the_model_in_order(
    harness: str, rules: str, appended: str, prompt: str, turns: int
) -> None:
    session = Session(
        harness, rules=f"Rule: {rules} :end", appended=f"Mine: {appended} :mine", prompt=f"Ask: {prompt}."
    )
    text = told(session.turn(turns))
    for part in (
        session.rules,
        session.prompt,
        *([session.appended] if harness not in ("codex", "droid") else []),
    ):
        at = 0
        for line in part.split("\n"):
            found = text.find(json.dumps(line, ensure_ascii=False)[1:-1], at)
            assert found >= 0, line
            at = found


@every_harness
@settings(max_examples=15, deadline=None)
@given(appended=WORDS, slimming=st.integers(0, 1))
def test_a_lean_turn_is_lean_already(harness: str, appended: str, slimming: int) -> None:
    once = Session(harness, appended=f"Mine: {appended} :mine").turn(2, slimming=slimming)
    twice = lean_turn(once.messages, offer(once.offer.encoded, slimming), known=KNOWN)
    assert (twice.messages, twice.offer.tools) == (once.messages, once.offer.tools)


@every_harness
def test_an_unknown_prompt_is_left_as_it_is(harness: str) -> None:
    prose = "\n".join(
        f"Some other maker says in {chr(97 + n)} words how things ought to be." for n in range(26)
    )
    turn = Session(harness).turn(1, prose=prose)
    assert prose.split("\n")[3] in told(turn)
    assert "go round in circles" not in told(turn)


def test_a_part_that_never_ends_leaves_the_prompt_whole_and_says_why() -> None:
    talk = [
        {"role": "system", "content": f"{PROSE}\n<env>\nWorking directory: /p\n"},
        {"role": "user", "content": "hi"},
    ]
    turn = lean_turn(talk, known=KNOWN)
    assert turn.messages == talk
    assert turn.saving.note == "prompt left whole: <env> has no end"


def test_what_a_user_says_later_never_changes_what_was_sent_before() -> None:
    talk: list[dict[str, Any]] = [{"role": "system", "content": PROSE}, {"role": "user", "content": "hi"}]
    talk += [{"role": "assistant", "content": "yes"}]
    for said in (
        "<env>\n",
        "<system-reminder>\n<env>\n</system-reminder>",
        f"<system-reminder>{PROSE}</system-reminder>",
    ):
        before = lean_turn(talk, known=KNOWN).messages
        talk.append({"role": "user", "content": said})
        assert lean_turn(talk, known=KNOWN).messages[: len(before)] == before
        talk.append({"role": "assistant", "content": "yes"})


def test_harness_prose_that_a_user_pastes_outside_an_envelope_stays() -> None:
    talk = [{"role": "system", "content": PROSE}, {"role": "user", "content": f"What is this?\n{PROSE}"}]
    assert lean_turn(talk, known=KNOWN).messages[1] == talk[1]


def test_the_users_own_prompt_takes_the_place_of_ours() -> None:
    talk = [{"role": "system", "content": f"{PROSE}\ncwd: /p"}, {"role": "user", "content": "hi"}]
    assert lean_turn(talk, NOTHING, "Mine.\n", known=KNOWN).messages[0]["content"] == "Mine.\n\ncwd: /p"


def test_little_prose_goes_only_where_tools_wait_and_a_brief_text_comes_for_it() -> None:
    session, little = Session("pi"), "\n".join(PROSE.split("\n")[:15])
    light = f"{little}\n\n{session.appended}\ncwd: {session.cwd}"
    talk = [{"role": "system", "content": light}, {"role": "user", "content": session.prompt}]
    waiting = lean_turn(talk, offer(json.dumps(TOOLS).encode(), 2), known=KNOWN).messages[0]["content"]
    assert waiting.startswith(BRIEF_PROMPT)
    assert waiting.endswith(f"{session.appended}\ncwd: {session.cwd}")
    assert "find_tools" in waiting
    for tools in (NOTHING, offer(json.dumps(TOOLS).encode(), 1)):
        assert lean_turn(talk, tools, known=KNOWN).messages == talk


def test_a_time_of_day_is_told_to_the_day() -> None:
    talk = [{"role": "system", "content": "Current time: 2026-11-23T02:25:11Z\nUpdated: 2026-01-01T10:00"}]
    assert lean_turn(talk).messages[0]["content"] == "Current time: 2026-11-23\nUpdated: 2026-01-01T10:00"


def test_tools_that_come_up_late_are_told_last_so_that_all_before_them_stands() -> None:
    devices = (
        "## Additional devices (docs on demand)\n- xd://desk — sends a letter.\n- xd://till — counts.\n\n"
    )
    first, second = (
        lean_turn([{"role": "system", "content": f"Be kind.\n\n{late}PROJECT\n\nUse tabs."}]).messages[0][
            "content"
        ]
        for late in ("", devices)
    )
    assert second == f"{first}\n\n{devices.strip()}"


@pytest.mark.parametrize(
    "bomb", ["- xd://", "- xd://\n", "## Additional devices\n", "## Additional devices\n- xd://x\n"]
)
def test_hostile_lists_cost_no_more_than_their_length(bomb: str) -> None:
    text = "## Additional devices\n" + bomb * (200_000 // len(bomb))
    began = time.process_time()
    steady(text)
    assert time.process_time() - began < 2.0


def test_the_lean_prompt_is_about_five_hundred_tokens_and_warns_of_loops() -> None:
    assert 350 < len(LEAN_PROMPT.split()) < 550
    assert "same call" in LEAN_PROMPT
    assert "circles" in LEAN_PROMPT


def test_an_opening_longer_than_any_harness_writes_is_left_as_it_is() -> None:
    messages = [{"role": "system", "content": "# Part\n" * 200_000}, {"role": "user", "content": "hi"}]
    turn = lean_turn(messages, unknown_too=True)
    assert turn.messages == messages
    assert "so long" in turn.saving.note
