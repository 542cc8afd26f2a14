"""Signs that a model is out of its depth, and what looks like one and is none."""

from __future__ import annotations

import pytest

from brainrouter.brain.evidence import failed_checks, in_loop, looping, pushback
from brainrouter.brain.transcript import Step

EDIT = Step("call", '{"path":"a.py"}', "Edit")
TEST = Step("call", '{"command":"pytest"}', "Bash")


def call(text: str = '{"a":1}', name: str = "Read") -> Step:
    return Step("call", text, name)


def result(text: str, *, error: bool = False) -> Step:
    return Step("result", text, error=error)


@pytest.mark.parametrize(
    ("steps", "sign"),
    [
        ([call('{"a": '), result("?")], "malformed tool call"),
        ([call(), result("Unknown tool: x", error=True)] * 2, "tool calls that the harness refused"),
        ([call(), result("fine")] * 3, "the same tool call 3 times"),
        (
            [step for at in range(3) for step in (call(f'{{"a":{at}}}'), result(f"KeyError: at line {at}"))],
            "the same error 3 times",
        ),
        ([EDIT, result("ok"), TEST, result("1 failed"), Step("call", "{}", "Edit"), result("ok"),
          Step("call", '{"command":"pytest -x"}', "Bash"), result("2 failed")], "tests or build failed 2 times after an edit"),
        ([step for at in range(9) for step in (call(f'{{"a":{at}}}'), result("ok"))], "no end after 9 tool calls"),
    ],
)  # fmt: skip
def test_a_sign_in_a_loop_is_named(steps: list[Step], sign: str) -> None:
    assert in_loop(steps, 9) == sign


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [call(), result("fine"), call('{"a":2}'), result("fine")],
        [call(), result("Unknown tool: x", error=True)],
        [call("*** Begin Patch\n..."), result("ok")],
        [call('{"a":1}'), result("ValueError: x"), call('{"a":2}'), result("KeyError: y")],
        [TEST, result("1 failed"), EDIT, result("ok"), TEST, result("3 passed")],
    ],
)
def test_ordinary_work_is_no_sign(steps: list[Step]) -> None:
    assert in_loop(steps, 9) is None


def test_a_success_wipes_out_failures_before_it() -> None:
    failing = [EDIT, result("ok"), TEST, result("2 failed, 1 passed")]
    assert failed_checks(failing * 2) == 2
    assert failed_checks([*failing, EDIT, result("ok"), TEST, result("3 passed")]) == 0


@pytest.mark.parametrize(
    "text",
    [
        "it still doesn't work",
        "That's wrong.",
        "no, the other file",
        "same error again",
        "you forgot the tests",
        "undo that",
    ],
)
def test_a_complaint_is_heard(text: str) -> None:
    assert pushback(text, "") == "the user pushed back"


@pytest.mark.parametrize(
    "text", ["now add a test", "note the still water", "nothing else, thanks", "nodes are fine"]
)
def test_going_on_is_no_complaint(text: str) -> None:
    assert pushback(text, "rename the file to b.py") is None


def test_asking_for_the_same_again_is_a_complaint_unless_it_is_a_word() -> None:
    assert (
        pushback("Rename the file to b.py", "rename the file to b.py") == "the user asked for the same again"
    )
    assert pushback("continue", "continue") is None


def test_a_text_that_turns_in_circles_is_told_from_a_long_one() -> None:
    assert looping("I will now read the file.\n" * 40)
    assert looping("word and again " * 60)
    assert not looping("\n".join(f"line {at} says something of its own, number {at * 7}" for at in range(60)))
    assert not looping("short " * 20)
