"""What a message asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.bridge.chunk import width
from brainrouter.bridge.grammar import Command, Guess, Parsed, Prompt, help_text, parse
from brainrouter.bridge.models import Found, find, usable

BOTH: list[tuple[str, Parsed]] = [
    ("!br ping", Command("ping")),
    ("!br PING", Command("ping")),
    ("  !BR   reset  ", Command("reset")),
    ("!br status", Command("status")),
    ("!br auto", Command("choose", "auto")),
    ("!br local", Command("choose", "local")),
    ("!br cloud", Command("choose", "cloud")),
    ("!br gemma-4-26b-a4b", Command("choose", "gemma-4-26b-a4b")),
    ("!br qwen2.5", Command("choose", "qwen2.5")),
    ("!br brainrouter/gpt-oss:20b", Command("choose", "brainrouter/gpt-oss:20b")),
    ("!br list", Command("list")),
    ("!br ls", Command("ls")),
    ("!br cd my folder", Command("cd", "my folder")),
    ("!br cd", Command("cd")),
    ("!br ..", Command("cd", "..")),
    ("!br mkdir new", Command("mkdir", "new")),
    ("!br review", Command("review")),
    ("!br review LOCAL", Command("review", "local")),
    ("!br review my change", Prompt("review my change")),
    ("!br help", Command("help")),
    ("!br ?", Command("help")),
    ("!br", Command("help")),
    ("!br model", Command("model")),
    ("!br model list what is up", Prompt("what is up", "list")),
    ("!br fast", Command("word", "fast")),
    ("!br statsu", Guess("statsu", "status")),
    ("!br list all files here", Prompt("list all files here")),
    ("!br what is this?", Prompt("what is this?")),
    ("!brother where", Prompt("!brother where")),
    ("hello !br reset", Prompt("hello !br reset")),
    ("hello", Prompt("hello")),
    ("/etc/passwd", Prompt("/etc/passwd")),
    ("!br\nreset", Command("reset")),
    ("", None),
    ("  \n ", None),
]


@pytest.mark.parametrize("platform", ["discord", "signal"])
@pytest.mark.parametrize(("text", "wanted"), BOTH)
def test_both_platforms_read(text: str, wanted: Parsed, platform: str):
    assert parse(text, "!", "discord" if platform == "discord" else "signal") == wanted


def test_model_and_a_name_asks_once_on_discord_and_is_kept_on_signal():
    assert parse("!br model gemma", "!", "discord") == Command("model", "gemma")
    assert parse("!br model gemma", "!", "signal") == Command("choose", "gemma")


def test_the_prefix_is_the_users():
    assert parse("$br ping", "$", "signal") == Command("ping")
    assert parse("!br ping", "$", "signal") == Prompt("!br ping")


@given(st.text())
def test_parsing_never_fails_and_loses_no_prompt(text: str):
    for said in (text, f"!br {text}", f"!br model {text}", f"!br cd {text}"):
        parse(said, "!", "discord")
    parsed = parse(text, "!", "signal")
    if not text.lower().strip().startswith("!br"):
        assert parsed == (Prompt(text.strip()) if text.strip() else None)


def test_help_fits_one_part_and_names_every_verb():
    for platform in ("discord", "signal"):
        text = help_text("!", platform)
        assert width(text) <= 1500
        for verb in (
            "ping",
            "status",
            "reset",
            "auto",
            "local",
            "cloud",
            "list",
            "model",
            "ls",
            "cd",
            "..",
            "mkdir",
            "review",
            "help",
        ):
            assert verb in text


def test_names_of_models_are_found_by_alias_and_in_any_case_or_a_near_one_is_named():
    known, aliases = ["auto", "qwen-coder", "Gemma-4"], {"Fast": "brainrouter/gemma-4"}
    assert find("qwen-coder", known, aliases) == Found("qwen-coder")
    assert find("brainrouter/QWEN-coder", known, aliases) == Found("qwen-coder")
    assert find("fast", known, aliases) == Found("Gemma-4")
    assert find("qwen-codr", known, aliases) == Found(None, "qwen-coder")
    assert find("zzzzzz", known, aliases) == Found(None, None)


@pytest.mark.parametrize("name", ["-x", "", "a b", "a\nb", "x" * 129, "$(x)", "\u00e9"])
def test_what_could_be_taken_for_something_else_is_no_models_name(name: str):
    assert not usable(name)
    assert usable("brainrouter/gpt-oss:20b")
