"""The words of a tool made few: whole sentences or clauses, and none that a name says already."""

from __future__ import annotations

import pytest

from brainrouter.policy.lean.words import cut_short, idle, shortened

TIME = "Optional timeout in milliseconds (at most 600000), after which it is ended."
LONG_RUN = (
    "Runs it in the folder of the session, with what the session knows, and tells what it printed on the way."
)


def test_an_aside_goes_before_a_sentence_is_cut_in_the_middle() -> None:
    assert shortened(TIME, 40) == "Optional timeout in milliseconds"


def test_only_where_it_may_a_sentence_ends_after_a_clause() -> None:
    assert (
        shortened(LONG_RUN, 70, clauses=True)
        == "Runs it in the folder of the session, with what the session knows"
    )
    assert shortened(LONG_RUN, 70).endswith("…")


def test_no_half_an_aside_is_left() -> None:
    assert (
        shortened("Takes a number of seconds (none is left out, as ever", 45, clauses=True)
        == "Takes a number of seconds"
    )


@pytest.mark.parametrize("end", ["\n\nUsage:", "\n<rules>"])
def test_nothing_is_announced_that_does_not_follow(end: str) -> None:
    assert shortened(f"Reads a file from the disk.{end}\n- {'x' * 80}", 50) == "Reads a file from the disk."


@pytest.mark.parametrize("label", ["REQUIRED: ", "Optional. "])
def test_what_the_schema_says_is_not_said_again(label: str) -> None:
    assert shortened(f"{label}What it is for. {'More. ' * 20}", 30).startswith("What it is for.")


def test_what_hangs_at_the_end_of_a_cut_goes_and_whole_words_stay() -> None:
    assert cut_short("Reads a file from the…") == "Reads a file"
    assert cut_short("What to look for") == "What to look for"


@pytest.mark.parametrize(
    ("words", "name", "said"),
    [
        ("The absolute path to the file to read", "file_path", False),
        ("The command to execute", "command", False),
        ("Replace all occurrences of old_text", "replaceAll", False),
        ("The text to look for, in upper case", "text", True),
        ("Timeout in seconds", "timeout", True),
        ("The intent", "i", True),
    ],
)
def test_words_that_say_what_the_name_says_are_idle(words: str, name: str, said: bool) -> None:
    assert idle(words, name, "Bash old_text") is not said
