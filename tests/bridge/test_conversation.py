"""What a person sees, on both platforms."""

from __future__ import annotations

import base64
import os
import signal as signals
import time
from pathlib import Path

import pytest

from brainrouter.bridge.omp import MOST_RUNS
from tests.bridge.rig import STRANGER, Rig
from tests.daemon import Stage, eventually, gone
from tests.sim.discord import snowflake


def test_a_question_is_answered_and_seen_to_be_worked_on(rig: Rig):
    assert rig.ask("hello there") == "heard: hello there"
    assert rig.ask("!br what is this?") == "heard: what is this?"
    assert len(rig.typed) == 2


def test_the_text_goes_to_stdin_and_the_command_is_made_from_a_template(rig: Rig):
    hostile = [
        "; rm -rf /",
        "$(x)",
        "--yolo",
        "@/etc/passwd",
        "config set a b",
        "-x",
        "`id`",
        "a\nb",
        "\u202eevil",
    ]
    for count, text in enumerate(hostile, 1):
        rig.say(text)
        run = rig.until_runs(count)[-1]
        assert run["text"] == text
        shape = [word.split("=")[0] for word in run["argv"]]
        assert shape[:8] == [
            "launch",
            "-p",
            "--mode",
            "--no-title",
            "--no-extensions",
            "--no-pty",
            "--model",
            "--session-dir",
        ]
        assert shape[8:] in (
            ["--max-time", "--tools", "--approval-mode"],
            ["--max-time", "--tools", "--approval-mode", "--resume"],
        )
        assert "--model=brainrouter/auto" in run["argv"]
        assert text not in run["argv"]
    rig.hears(len(hostile))


def test_omp_sees_only_what_it_needs_of_the_environment(rig: Rig):
    rig.ask("hello")
    seen = set(rig.runs()[0]["env"])
    assert not seen & {"SECRET_KEY", "DISCORD_TOKEN", "MANIFEST_API_KEY"}
    assert seen >= {"HOME", "PATH", "PI_CODING_AGENT_DIR"}


def test_turns_of_one_channel_are_one_session_and_other_channels_have_their_own(rig: Rig):
    rig.ask("!br reset", place=rig.elsewhere)  # that place is not this test's alone
    assert [rig.ask("turns") for _ in range(3)] == ["turn 0", "turn 1", "turn 2"]
    assert rig.ask("turns", place=rig.elsewhere) == "turn 0"


def test_reset_forgets(rig: Rig):
    rig.ask("turns")
    assert rig.ask("!br reset") == "Forgotten."
    assert rig.ask("turns") == "turn 0"


def test_questions_wait_for_their_turn_and_keep_their_order(rig: Rig):
    rig.say("wait go")
    rig.until_runs(1)
    rig.say("second")
    rig.say("third")
    assert rig.hears(2) == ["Queued, 1 ahead.", "Queued, 2 ahead."]
    rig.release("go")
    assert rig.hears(5)[2:] == ["waited for go", "heard: second", "heard: third"]


def test_no_more_than_five_wait(rig: Rig):
    rig.say("wait go")
    rig.until_runs(1)
    for number in range(6):
        rig.say(f"q{number}")
    assert "this one is not taken" in rig.hears(6)[5]
    rig.release("go")
    assert rig.hears(12)[6:] == ["waited for go", *(f"heard: q{n}" for n in range(5))]


@pytest.mark.parametrize("how", ["hang", "stubborn", "grandchild"])
def test_reset_ends_the_whole_process_group(rig: Rig, how: str):
    rig.say(how)
    run = rig.until_runs(1)[0]
    if how == "grandchild":
        rig.hears(1)  # it answers at once and leaves a child behind
    assert rig.ask("!br reset").startswith("Forgotten.")
    eventually(lambda: gone(run["pid"]), 8.0)
    if run["child"]:
        eventually(lambda: gone(run["child"]), 8.0)


def test_a_question_that_takes_too_long_is_stopped_and_said_so(stage: Stage):
    with Rig("signal", stage.daemon, timeout_secs=3.0) as rig:
        assert rig.ask("hang") == "stopped after 3 s"
        assert gone(rig.runs()[0]["pid"])
        assert rig.ask("hello") == "heard: hello"


def test_what_goes_wrong_in_omp_is_told(rig: Rig):
    assert "something broke: badly" in rig.ask("fail badly")
    assert "no such model" in rig.ask("error no such model").replace("\\", "")
    assert "without an answer" in rig.ask("nothing")
    assert rig.ask("hello") == "heard: hello"


def test_a_flood_of_output_is_read_and_not_kept(rig: Rig):
    assert rig.ask("big 500") == "that was a lot"
    assert rig.ask("endless-line x") == "after the line"


def test_a_session_that_omp_lost_is_begun_anew(rig: Rig):
    rig.ask("turns")
    for file in (rig.state / "omp-sessions").rglob("*"):
        if file.is_file():
            file.unlink()
    assert rig.ask("turns") == "turn 0"


def test_choices_survive_a_restart(rig: Rig):
    (rig.work / "sub").mkdir()
    rig.ask("!br local")
    rig.ask("!br cd sub")
    rig.ask("turns")
    rig.settle()  # the platform has the answer, and the bridge knows that it has
    rig.stop()
    rig.start()
    assert rig.ask("turns") == "turn 1"
    run = rig.runs()[-1]
    assert "--model=brainrouter/local" in run["argv"]
    assert run["cwd"] == str(rig.work / "sub")


def test_a_question_cut_off_by_a_restart_is_owned_up_to(rig: Rig):
    rig.say("hang")
    rig.until_runs(1)
    rig.stop()
    assert gone(rig.runs()[0]["pid"])
    rig.start()
    assert "restarted before I could answer your last question" in rig.hears(1)[0]
    rig.settle()
    assert len(rig.runs()) == 1


def test_the_same_message_twice_is_answered_once_also_across_restarts(rig: Rig):
    number = rig.say("hello")
    rig.hears(1)
    rig.say("hello", id=number)
    rig.break_connection()
    rig.say("hello", id=number)
    rig.settle()
    rig.stop()
    rig.start()
    rig.say("hello", id=number)
    rig.settle()
    assert rig.texts().count("heard: hello") == 1
    assert len(rig.runs()) == 1


def test_messages_and_answers_survive_lost_connections(rig: Rig):
    for number in range(10):
        rig.break_connection()
        rig.say(f"!br mkdir d{number}")
    rig.hears(10, 40.0)
    assert rig.texts() == [f"Made /d{n}" for n in range(10)]


def test_strangers_get_nothing(rig: Rig):
    sessions = rig.status()["sessions"]
    verbs = [
        "ping",
        "help",
        "status",
        "reset",
        "list",
        "ls",
        "cd x",
        "mkdir x",
        "local",
        "review local",
        "hello",
        "?",
        "..",
    ]
    for number in range(30):
        for verb in verbs:
            rig.say(f"!br {verb}" if number % 2 else verb, by=f"{STRANGER[rig.platform]}{number}")
    rig.settle()
    assert rig.texts() == ["pong"]
    assert rig.runs() == []
    assert list(rig.work.iterdir()) == []
    assert rig.status()["sessions"] == sessions + 1


def test_a_long_question_arrives_whole(rig: Rig):
    text = "say " + "what a long question " * 190
    rig.say(text)
    assert rig.until_runs(1)[0]["text"] == text.strip()
    rig.settle()


def test_what_is_shown_as_one_character_arrives_as_one(rig: Rig):
    family, flag = "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea"
    assert rig.ask(f"say {family}{flag}") == family + flag
    before = len(rig.texts())
    rig.say(f"say {family * 300}")  # 2,400 units of UTF-16
    count = 2 if rig.discord else 1
    assert [set(part.split(family)) for part in rig.hears(before + count)[before:]] == [{""}] * count


def test_messages_that_come_out_of_order_are_all_answered(rig: Rig):
    later, sooner = (
        snowflake(age) if rig.discord else str(int((time.time() - age) * 1000)) for age in (0, 9)
    )
    assert rig.ask("one", id=later) == "heard: one"
    assert rig.ask("two", id=sooner) == "heard: two"


def test_an_answer_that_comes_while_the_connection_is_lost_is_delivered_once(rig: Rig):
    rig.say("wait go")
    rig.until_runs(1)
    rig.break_connection()
    rig.release("go")
    assert rig.hears(1) == ["waited for go"]
    rig.settle()
    assert rig.texts() == ["waited for go", "pong"]


def test_one_channel_does_not_wait_for_another(rig: Rig):
    rig.say("wait go")
    rig.until_runs(1)
    assert rig.ask("hello", place=rig.elsewhere) == "heard: hello"
    assert "waiting: 0" in rig.ask("!br status", place=rig.elsewhere)
    rig.release("go")
    assert rig.hears(3)[2] == "waited for go"


def made(folder: Path) -> bool:
    """Whether it could be made now; a write that is under way has a file in its place."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def test_a_session_that_cannot_be_kept_does_not_keep_the_answer_back(rig: Rig):
    in_the_way = rig.state / f".{rig.platform}-sessions.json.new"
    eventually(lambda: made(in_the_way))
    try:
        assert rig.ask("hello") == "heard: hello"
        assert "the session cannot be kept" in (rig.status()["last_error"] or "")
    finally:
        in_the_way.rmdir()
    assert rig.ask("again") == "heard: again"


def test_the_token_is_in_nothing_that_is_kept(rig: Rig, caplog: pytest.LogCaptureFixture):
    for text in ("hello", "fail badly", "!br status", "!br list"):
        rig.ask(text)
    kept = [file.read_bytes() for file in rig.home.rglob("*") if file.is_file()]
    assert len(kept) > 3
    assert not [raw for raw in kept if b"canary" in raw]
    assert "canary" not in caplog.text + str(rig.status()) + "".join(rig.texts())


def test_so_many_questions_are_worked_on_at_once_and_the_next_takes_its_turn(rig: Rig):
    people = rig.crowd[-MOST_RUNS - 2 : -1]
    for rig.owner in people:
        rig.say("wait go")
    rig.until_runs(MOST_RUNS)

    def states() -> list[str]:
        told: list[str] = []
        for rig.owner in people:  # whose question came last is not said by the order in which they wrote
            rig.settle()
            told.append(rig.ask("!br status"))
        return told

    eventually(lambda: sum("running: waiting for others" in told for told in states()) == 1, 15.0)
    assert len(rig.runs()) == MOST_RUNS
    rig.release("go")
    assert len(rig.until_runs(MOST_RUNS + 1)) == MOST_RUNS + 1
    eventually(lambda: "running: nothing" in rig.ask("!br status"), 15.0)


def test_too_many_questions_are_refused_once(rig: Rig):
    for number in range(1000):
        rig.say(f"!br mkdir f{number}")
    rig.hears(31)
    rig.until_state("connected")
    assert len(list(rig.work.iterdir())) == 30
    assert sum("a minute" in text for text in rig.texts()) == 1
    assert len(rig.texts()) == 31


def test_long_answers_come_in_whole_parts_and_longer_ones_as_a_file(rig: Rig):
    limit = 1500 if rig.discord else 4000
    rig.say("code 400")
    rig.hears(2)
    rig.say("!br status")
    eventually(lambda: "running" in rig.texts()[-1], 8.0)
    parts = rig.texts()[:-1]
    assert all(len(part) <= limit for part in parts)
    if rig.discord:
        assert all(part.count("```") == 2 for part in parts)
    if len(parts) > 2:
        assert [part.split("\n")[0] for part in parts] == [
            f"({n}/{len(parts)})" for n in range(1, len(parts) + 1)
        ]
    assert [line for part in parts for line in part.splitlines() if line.startswith("value_")] == [
        f"value_{n} = {n}" for n in range(400)
    ]
    before = len(rig.texts())
    rig.say("lines 4000")
    whole = "\n".join(f"line {n} of the answer, which goes on for a while" for n in range(4000))
    assert "as a file" in rig.hears(before + 2)[before + 1]
    assert rig_file(rig) == whole


def test_two_parts_need_no_numbers_and_three_have_them(rig: Rig):
    limit = 1500 if rig.discord else 4000
    lines = {2: limit // 49 + 5, 3: 2 * limit // 49 + 9}
    for count, number in lines.items():
        before = len(rig.texts())
        rig.say(f"lines {number}")
        parts = rig.hears(before + count)[before:]
        assert [part.startswith("(") for part in parts] == [count == 3] * count
        assert all(len(part) <= limit for part in parts)
    rig.settle()


def rig_file(rig: Rig) -> str:
    if rig.discord:
        name, data = rig.discord.sent[-1].files[0]
        assert name == "answer.md"
        return data.decode()
    assert rig.signal is not None
    head, _, body = rig.signal.sent[-1]["attachments"][0].partition(",")
    assert head == "data:text/markdown;filename=answer.md;base64"
    return base64.b64decode(body).decode()


def test_a_killed_omp_is_told_and_the_next_question_works(rig: Rig):
    rig.say("hang")
    os.kill(rig.until_runs(1)[0]["pid"], signals.SIGKILL)
    assert "omp failed" in rig.hears(1)[0]
    assert rig.ask("hello") == "heard: hello"
