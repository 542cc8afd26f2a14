from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.wire.ask import Ask, Dialect
from brainrouter.wire.prompt_text import excerpt, last_user_text, peeled


def ask(turns: Any, dialect: Dialect = "chat") -> Ask:
    field = "input" if dialect == "responses" else "messages"
    raw = json.dumps({field: turns}).encode()
    return Ask(dialect=dialect, raw=raw, model="auto", stream=False)


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("turns", "text"),
    [
        ([user("one"), user("two")], "two"),
        (
            [user("fix it"), {"role": "assistant", "content": "ok"}, {"role": "tool", "content": "out"}],
            "fix it",
        ),
        (
            [user([{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}])],
            "a\nb",
        ),
        ([user("<system-reminder>be\nnice</system-reminder>\nfix it")], "fix it"),
        ([user("fix it"), user("<environment_context>cwd</environment_context>")], "fix it"),
        (
            [
                user(
                    [
                        {"type": "text", "text": "<system-reminder>x</system-reminder>"},
                        {"type": "text", "text": "go"},
                    ]
                )
            ],
            "go",
        ),
        ([user("go"), user([{"type": "tool_result", "content": [{"type": "text", "text": "out"}]}])], "go"),
        ([user("# AGENTS.md instructions for /x\n\n<INSTRUCTIONS>a</INSTRUCTIONS>"), user("go")], "go"),
        ([user('read @a\n<file path="a">\n1| x\n</file>')], "read @a"),
        ([user([{"type": "text", "text": 3}, "loose", {"type": "text", "text": "ok"}])], "loose\nok"),
        ([user(None)], ""),
        ([], ""),
    ],
)
def test_the_last_words_of_the_user_are_found(turns: Any, text: str) -> None:
    assert last_user_text(ask(turns)) == text


def test_the_responses_dialect_is_read_too() -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}]}
    output = {"type": "function_call_output", "call_id": "c", "output": "x"}
    assert last_user_text(ask([item, output], "responses")) == "go"
    assert last_user_text(ask("just text", "responses")) == "just text"


def test_markup_that_is_the_users_own_stays() -> None:
    text = "why does <filename>x</filename> or <div>this</div> break, <system-reminder> or not"
    assert peeled(text) == text


@pytest.mark.parametrize(
    "piece", ["<system-reminder>", "</system-reminder>", "<file ", "<files>x</files>", "Called the x"]
)
def test_peeling_is_linear(piece: str) -> None:
    started = time.perf_counter()
    peeled(piece * (1_000_000 // len(piece)))
    assert time.perf_counter() - started < 2


@given(st.text(), st.integers(1, 300))
def test_an_excerpt_is_one_short_printable_line(text: str, limit: int) -> None:
    shown = excerpt(text, limit)
    assert len(shown) <= limit
    assert shown.isprintable()


SECRETS = [
    "sk-proj-abcdefghijklmnop1234",
    "sk-ant-api03-abcdefghijklmnop",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "github_pat_11ABCDEFG0abcdefghijkl",
    "mnfst_abcdef123456",
    "AKIAIOSFODNN7EXAMPLE",
    "Bearer abcdef.ghijkl-mnop",
    "glpat-abcdefghijklmnopqrst",
    "xoxb-123456789012-abcdefghij",
    "AIzaSyA1234567890abcdefghijklmnopqrstu",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefgh",
    "password=hunter2hunter2",
    "https://user:hunter2hunter2@host/",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("before", ["", "my key is ", "word " * 30, "word " * 80, 'export X="'])
def test_no_secret_is_shown(secret: str, before: str) -> None:
    shown = excerpt(before + secret + " and then some more words", 300)
    assert "***" in shown or len(before) > 300
    for part in secret.replace("\n", " ").replace("=", " ").replace(":", " ").replace("@", " ").split():
        if len(part) >= 12 and part.upper() != part.lower() and "PRIVATE" not in part and "//" not in part:
            assert part not in shown


@given(st.integers(150, 600))
def test_a_secret_at_the_cut_is_not_shown_in_part(offset: int) -> None:
    shown = excerpt("a " * (offset // 2) + "sk-abcdefghijklmnopqrstuvwxyz0123456789" + " b" * 400)
    assert "abcdefg" not in shown
