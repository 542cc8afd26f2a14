"""What is a harness' own goes, line by line; what is the user's stays."""

from __future__ import annotations

import time

import pytest

from brainrouter.policy.lean.envelopes import changed
from brainrouter.policy.lean.fingerprint import SIZE, fingerprint, normal
from brainrouter.policy.lean.known import KNOWN as REAL
from brainrouter.policy.lean.prune import prune
from brainrouter.policy.lean.zones import unclosed, zones
from tests.policy.lean_sessions import KNOWN, PROSE

LINE = PROSE.split("\n", 1)[0]


def left(text: str) -> str:
    return prune(text, KNOWN).text


def test_the_real_harnesses_lines_are_known_by_hash_alone() -> None:
    assert len(REAL) > 900
    assert {len(one) for one in REAL} == {SIZE}


def test_what_differs_from_user_to_user_is_not_part_of_a_lines_fingerprint() -> None:
    assert normal("  Write to `/home/ann/.x/memory/` on 2026-11-23") == normal(
        "Write to `/srv/y/` on 2027-01-01"
    )
    assert normal("You run as the model named a/b-2. Go.") == normal("You run as the model named c. Go.")
    assert normal("Write to memory") != normal("Read from memory")


def test_a_text_with_nothing_known_in_it_comes_back_byte_for_byte() -> None:
    text = "a\n\n\n\n  b  \n```\n"
    assert left(text) == text


def test_short_lines_are_the_harness_own_only_among_its_own() -> None:
    assert left(f"{LINE}\n```\n{LINE}") == ""
    assert left(f"{LINE}\n\nMine.\n```\ncode\n```\n- yes\n\n{LINE}") == "Mine.\n```\ncode\n```\n- yes"


def test_a_heading_or_an_introduction_stays_with_what_stays_below_it() -> None:
    skills = "The following skills are available for use with the Skill tool:"
    assert (
        left(f"{skills}\n\n{LINE}\n- mine: does what I like\n\n{LINE}")
        == f"{skills}\n\n- mine: does what I like"
    )
    assert left(f"{skills}\n\n{LINE}\n\nMine.") == "Mine."


def test_what_a_tag_names_already_needs_no_introduction() -> None:
    told = "The following skills are available for use with the Skill tool:"
    assert left(f"{LINE}\n{told}\n<env>\nhere\n</env>") == "<env>\nhere\n</env>"


def test_a_long_heading_is_prose() -> None:
    prose = "# " + LINE * 2
    known = KNOWN | {fingerprint(normal(prose))}
    assert prune(f"{LINE}\n{prose}\nMine.", known).text == "Mine."


def test_tags_stay_in_pairs_around_what_stays() -> None:
    assert left(f"<rules>\n{LINE}\n</rules>\nMine.") == "Mine."
    assert left(f"<rules>\n{LINE}\nMine.\n</rules>") == "<rules>\nMine.\n</rules>"


@pytest.mark.parametrize(
    "kept",
    [
        "<env>\n{}\n</env>",
        "<INSTRUCTIONS>\n{}\n</INSTRUCTIONS>",
        '<project_instructions path="/p/AGENTS.md">\n{}\n</project_instructions>',
        '<file path="/p/AGENTS.md">\n{}\n</file>',
        "<coding_guidelines>\n{}\n</coding_guidelines>",
        "Instructions from: /p/AGENTS.md\n{}",
        "Contents of /p/CLAUDE.md (project instructions):\n\n{}",
        "# MCP Server Instructions\n\n## desk\n{}",
    ],
)
def test_in_the_parts_that_are_the_users_even_known_lines_stay(kept: str) -> None:
    part = kept.format(f"Use tabs.\n\n\n{LINE}\n```\nend")
    assert left(f"{LINE}\n\n{part}") == part


def test_a_tag_named_in_passing_opens_nothing() -> None:
    assert unclosed("It is in an <env> block.") == ""
    assert unclosed("<env>\nx") == "env"
    assert zones("It is in an <env> block.") == []


def test_an_envelope_that_never_ends_is_no_envelope() -> None:
    message = {"role": "user", "content": "<system-reminder>\nmine"}
    assert changed(message, lambda _text: "") == message


@pytest.mark.parametrize(
    "bomb",
    ["<env>", "<env>\n", "<env ", "<env></en", "# a\n", "# MCP Server Instructions\n", "Instructions from: x\n",
     "Contents of x:\n", "% pwd\n", "status: ", "<system-reminder>", "Deferred tools:\n", "/a" , "`/", "<rules>\n"],
)  # fmt: skip
def test_text_of_a_hostile_repository_costs_no_more_than_its_length(bomb: str) -> None:
    text = bomb * (300_000 // len(bomb))
    began = time.process_time()
    prune(text, KNOWN)
    unclosed(text)
    changed({"role": "user", "content": text}, left)
    assert time.process_time() - began < 3.0
