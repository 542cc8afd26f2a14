"""Text of others that is safe to look at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.wire.plain_text import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünïcode, 漢字 🙂", "plain, ünïcode, 漢字 🙂"),
        ("two\n\tlines", "two\n\tlines"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b2J\x7f\r", "\\x9b2J\\x7f\\x0d"),
        ("a\u202eb\u2028", "a\\u202eb\\u2028"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_moves_a_cursor_or_turns_words_is_shown_by_its_number(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text())
def test_nothing_unprintable_is_left(text: str) -> None:
    assert plain(text).replace("\n", "").replace("\t", "").isprintable()
