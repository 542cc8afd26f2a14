"""The lean prompt: what of a heavy system prompt is dropped, and what is the user's and stays."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.policy.lean import (
    HEAVY_CHARS,
    KEPT_MAX_CHARS,
    LEAN_PROMPT,
    is_heavy,
    kept_sections,
    lean,
)

PROSE = "You are a very careful assistant. Never be wrong. " * 200


def test_only_long_prompts_are_replaced() -> None:
    assert not is_heavy("x" * HEAVY_CHARS)
    assert is_heavy("x" * (HEAVY_CHARS + 1))


def test_the_lean_prompt_is_about_five_hundred_tokens_and_warns_of_loops() -> None:
    assert 350 < len(LEAN_PROMPT.split()) < 550
    assert "same call" in LEAN_PROMPT
    assert "circles" in LEAN_PROMPT


def test_prose_without_anything_of_the_users_leaves_the_lean_prompt_alone() -> None:
    assert lean(PROSE) == LEAN_PROMPT.strip() + "\n"


def test_the_users_own_prompt_takes_the_place_of_ours() -> None:
    found = lean(f"{PROSE}\n# Environment\ncwd: /p\n", "Mine.")
    assert found == "Mine.\n\n# Environment\ncwd: /p\n"


@pytest.mark.parametrize(
    "kept",
    [
        "# AGENTS.md\nUse tabs.",
        "## CLAUDE.md\nUse tabs.",
        "# claudeMd\nUse tabs.",
        "# Project instructions\nUse tabs.\n\n## Tests\nRun them.",
        "## Environment\nWorking directory: /p",
        "# User's rules\nUse tabs.",
        "# Custom instructions\nUse tabs.",
        "<env>\nWorking directory: /p\n</env>",
        "<environment_context>\n  <cwd>/p</cwd>\n</environment_context>",
        '<project_instructions path="AGENTS.md">\nUse tabs.\n</project_instructions>',
        "<INSTRUCTIONS>\n# Any heading\nUse tabs.\n</INSTRUCTIONS>",
        "Instructions from: /p/AGENTS.md\nUse tabs.",
        "Instructions from: /p/AGENTS.md\n# My project\nUse tabs.\n\n# Building\nmake\n\n## Tests\nmake test",
    ],
)
def test_what_belongs_to_the_project_is_kept_whole(kept: str) -> None:
    found = lean(f"{PROSE}\n\n# Tone and style\nBe chatty.\n\n{kept}\n")
    assert kept in found
    assert "careful assistant" not in found
    assert "chatty" not in found


def test_two_instruction_files_are_both_kept() -> None:
    text = "Instructions from: /a/AGENTS.md\n# A\none\nInstructions from: /b/AGENTS.md\n# B\ntwo"
    assert kept_sections(text).replace("\n\n", "\n") == text


def test_a_section_ends_at_the_next_heading_of_its_level() -> None:
    assert kept_sections("# Memory\na\n## Details\nb\n# Tone\nc") == "# Memory\na\n## Details\nb"


def test_a_kept_section_within_a_kept_section_is_not_repeated() -> None:
    assert kept_sections("# Project rules\na\n## Environment\nb\n") == "# Project rules\na\n## Environment\nb"


def test_headings_inside_a_kept_tag_do_not_count_twice() -> None:
    assert (
        kept_sections("<env>\n# Memory\na\n</env>\n# Memory\nb")
        == "<env>\n# Memory\na\n</env>\n\n# Memory\nb"
    )


def test_a_tag_that_is_never_closed_keeps_nothing_by_itself() -> None:
    assert kept_sections("<env>\nfree text") == ""


def test_endless_instructions_are_cut_and_say_so() -> None:
    found = kept_sections("# AGENTS.md\n" + "Use tabs.\n" * 5000)
    assert len(found) < KEPT_MAX_CHARS + 100
    assert found.endswith("[cut here: the project's instructions are longer]")


@pytest.mark.parametrize(
    "bomb",
    [
        "<env>",
        "<env ",
        "<env></en",
        "# a\n",
        "# memory\n",
        "Instructions from: x\n",
        "<env>x</env>",
        "###### a\n# b\n",
    ],
)
def test_text_of_a_hostile_repository_costs_no_more_than_its_length(bomb: str) -> None:
    text = bomb * (400_000 // len(bomb))
    began = time.process_time()
    kept_sections(text)
    assert time.process_time() - began < 2.0


@given(
    st.lists(st.sampled_from(["# A\n", "## Memory\n", "<env>", "</env>", "text\n", "Instructions from: x\n"]))
)
def test_what_is_kept_was_there(pieces: list[str]) -> None:
    text = "".join(pieces)
    for line in kept_sections(text).split("\n"):
        assert line.strip() in text
