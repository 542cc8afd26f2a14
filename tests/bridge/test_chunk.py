"""Parts: nothing lost, nothing too long, fences whole, graphemes whole."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from brainrouter.bridge.chunk import chunk, width
from brainrouter.bridge.signal_text import styled

WORDS = st.text(alphabet="abc de.\n\u00e9\U0001f600", max_size=300)
BLOCK = st.builds(
    lambda mark, info, body: f"\n{mark}{info}\n{body}\n{mark}\n",
    st.sampled_from(["```", "~~~", "`````"]), st.sampled_from(["", "python", "c++"]), WORDS,
)  # fmt: skip
DOCUMENTS = st.lists(st.one_of(WORDS, BLOCK), max_size=12).map("".join)
LIMITS = st.integers(60, 400)
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
FLAG = "\U0001f1e9\U0001f1ea"


def fences(text: str) -> int:
    return sum(line.lstrip(" ").startswith(("```", "~~~")) for line in text.split("\n"))


@given(st.one_of(DOCUMENTS, st.text(), st.text(alphabet="`~ \nab", max_size=400)), LIMITS)
@example("```" * 200, 60)
@example("```python\n" + "x" * 500, 60)
def test_the_bodies_joined_are_the_text_and_no_part_is_too_long(text: str, limit: int):
    parts = chunk(text, limit)
    assert "".join(part.body for part in parts) == text
    assert all(0 < width(part.text) <= limit for part in parts)
    assert all(part.body for part in parts)


@given(DOCUMENTS, LIMITS)
def test_every_part_opens_and_closes_its_own_fences(text: str, limit: int):
    if fences(text) % 2 == 0:
        assert [part.text for part in chunk(text, limit) if fences(part.text) % 2] == []


@given(
    st.lists(
        st.sampled_from([FAMILY, FLAG, "e\u0301", "\U0001f44d\U0001f3fd", "\u1112\u1161\u11ab", "\r\n", "a"]),
        min_size=40,
        max_size=200,
    )
)
def test_what_is_shown_as_one_character_stays_together(graphemes: list[str]):
    rest = list(graphemes)
    for part in chunk("".join(graphemes), 60):
        body = part.body
        while body:
            assert body.startswith(rest[0])
            body = body.removeprefix(rest.pop(0))
    assert rest == []


def test_a_block_is_opened_again_with_its_language_and_kept_whole_where_it_fits():
    code = "\n".join(f"value_{n} = {n}" for n in range(100))
    first, *more = chunk(f"Look:\n\n```python\n{code}\n```\nDone.", 500)
    assert first.text == "Look:\n\n" or first.text.endswith("\n```")
    assert all(part.text.startswith("```python\n") for part in more)
    assert more[-1].text.endswith("```\nDone.")
    short = "words " * 60 + "\n```\na\nb\n```\n" + "words " * 60
    assert any("```\na\nb\n```\n" in part.text for part in chunk(short, 500))
    tildes = "```\n~~~\n" + "words " * 60 + "\n```\n"
    assert [part.text.count("```") for part in chunk(tildes, 250)] == [2, 2]


@pytest.mark.parametrize(
    ("text", "limit", "first"),
    [
        ("one two three. four five", 16, "one two three. "),
        ("para one\n\npara two is here", 16, "para one\n\n"),
        ("line one\nline two is", 14, "line one\n"),
        ("word " * 5, 12, "word word "),
    ],
)
def test_breaks_come_at_the_best_place_there_is(text: str, limit: int, first: str):
    assert chunk(text, limit)[0].text == first


def test_no_text_has_no_parts_and_no_room_is_refused():
    assert chunk("", 100) == []
    with pytest.raises(ValueError, match="no room"):
        chunk("```\na\n```", 8)


def test_signal_shows_blocks_in_one_width_without_their_fences():
    text, ranges = styled("\U0001f600 Look:\n```python\na = 1\n```\nand\n~~~\nb\n~~~\nend")
    assert text == "\U0001f600 Look:\na = 1\nand\nb\nend"
    assert ranges == ["9:6:MONOSPACE", "19:2:MONOSPACE"]
    assert styled("plain `text`") == ("plain `text`", [])
    assert styled("```\n\n```\nnothing in it") == ("\nnothing in it", [])
