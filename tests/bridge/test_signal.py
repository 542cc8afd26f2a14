"""Signal's own ways: its envelopes, what a send may come back with, both kinds of connection."""

from __future__ import annotations

import os
import signal as signals
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from brainrouter.bridge import signal_socket
from brainrouter.bridge.signal_daemon import command
from tests.bridge.rig import ACCOUNT, GROUP, SIM, Rig
from tests.daemon import ROOT, Stage, eventually, gone
from tests.sim.signal import Signal


def sim(rig: Rig) -> Signal:
    assert rig.signal is not None
    return rig.signal


def now() -> int:
    return int(time.time() * 1000)


def test_everyone_in_the_group_is_answered_there_and_nowhere_else(signal: Rig):
    assert signal.ask("hello", place=GROUP, by="+15558888888") == "heard: hello"
    assert sim(signal).sent[-1]["groupId"] == GROUP
    signal.say("hello", by="+15558888888")
    signal.say("hello", place="b3RoZXI=")
    signal.settle()
    assert signal.texts() == ["heard: hello", "pong"]


def test_a_note_to_self_is_answered_when_the_own_number_is_listed(stage: Stage):
    sent = {"message": "hello", "destination": ACCOUNT, "destinationNumber": ACCOUNT}
    for also, answers in (([ACCOUNT], ["heard: hello"]), ([], [])):
        with Rig("signal", stage.daemon, also=also) as rig:
            at = now()
            sim(rig).push(ACCOUNT, at, {"syncMessage": {"sentMessage": {**sent, "timestamp": at}}})
            other = {**sent, "destination": "+15557", "destinationNumber": "+15557", "timestamp": at + 1}
            sim(rig).push(ACCOUNT, at + 1, {"syncMessage": {"sentMessage": other}})
            if answers:
                rig.hears(1)
            rig.settle()
            assert [text for text in rig.texts() if text != "pong"] == answers
            assert [sent["noteToSelf"] for sent in sim(rig).sent[: len(answers)]] == [True] * len(answers)


@pytest.mark.parametrize(
    "content",
    [{"receiptMessage": {"when": 1}}, {"typingMessage": {"action": "STARTED"}}, {"callMessage": {}}, {},
     {"dataMessage": {"timestamp": 1, "message": None, "reaction": {"emoji": "x"}}},
     {"editMessage": {"targetSentTimestamp": 1, "dataMessage": {"timestamp": 2, "message": "hello"}}},
     {"dataMessage": {"timestamp": "x", "message": 5}}, {"dataMessage": []}],
)  # fmt: skip
def test_what_is_no_new_text_is_passed_over(signal: Rig, content: dict[str, object]):
    sim(signal).push(signal.owner, now(), content)
    signal.settle()
    assert signal.texts() == ["pong"]


def test_old_messages_that_come_at_the_start_are_not_answered(signal: Rig):
    sim(signal).says("hello", user=signal.owner, timestamp=now() - 600_000)
    signal.settle()
    assert signal.texts() == ["pong"]


def test_junk_on_the_line_hurts_nothing(signal: Rig):
    sim(signal).junk = b"not json\n[]\n" + b"x" * 5_000_000 + b'\n{"jsonrpc":"2.0","id":"999","result":{}}\n'
    try:
        assert signal.ask("hello") == "heard: hello"
    finally:
        sim(signal).junk = b""


def test_an_answer_that_signal_cli_had_not_read_when_it_ended_is_sent_again(signal: Rig):
    sim(signal).stop_reading()
    signal.say("!br ping")
    eventually(lambda: sim(signal).unread() > 0)
    signal.break_connection()
    signal.hears(1)
    signal.settle()
    assert signal.texts() == ["pong", "pong"]


def ended_while_sending(rig: Rig, fault: str) -> list[str]:
    sim(rig).faults.append(fault)
    rig.say("hello")
    eventually(lambda: "while it was sending" in (rig.status()["last_error"] or ""))
    rig.settle()
    return rig.texts()


def test_an_answer_that_signal_cli_had_read_when_it_ended_is_not_sent_again(signal: Rig):
    assert ended_while_sending(signal, "ended") == ["heard: hello", "pong"]
    signal.fresh()
    assert ended_while_sending(signal, "killed") == ["pong"]


def test_over_http_as_well_an_answer_is_sent_again_only_where_it_was_not_read(stage: Stage):
    with Rig("signal", stage.daemon, over_http=True) as rig:
        assert ended_while_sending(rig, "ended") == ["heard: hello", "pong"]
        rig.fresh()
        assert ended_while_sending(rig, "killed") == ["pong"]
        rig.fresh()
        sim(rig).faults.append("unread")
        rig.say("hello")
        rig.hears(1)
        rig.settle()
        assert rig.texts() == ["heard: hello", "pong"]


def test_over_http_what_was_said_before_a_break_is_heard_however_early_the_break_comes(stage: Stage):
    with Rig("signal", stage.daemon, over_http=True) as rig:
        fake = sim(rig)
        fake.drop(reopen=False)
        for number in range(300):
            rig.owner = rig.crowd[number]
            rig.say(f"!br mkdir d{number}")
        fake.faults.append("unread")  # the first call of the next connection breaks, its events do not
        fake.open()
        eventually(lambda: len(list(rig.work.iterdir())) == 300, 20.0)
        eventually(lambda: len(rig.everything_sent()) == 300, 20.0)


def test_a_thousand_messages_that_waited_are_heard_though_the_connection_breaks_meanwhile(stage: Stage):
    with Rig("signal", stage.daemon) as rig:
        sim(rig).drop(reopen=False)
        for number in range(1000):
            rig.owner = rig.crowd[number]
            rig.say(f"!br mkdir d{number}")
        sim(rig).open()
        eventually(lambda: any(rig.work.iterdir()), 20.0)
        rig.break_connection()
        eventually(lambda: len(list(rig.work.iterdir())) == 1000, 30.0)


def test_of_two_answers_at_a_break_only_the_one_that_was_not_read_is_sent_again(signal: Rig):
    sim(signal).takes_s = 0.3
    try:
        signal.say("!br mkdir one")
        eventually(lambda: sim(signal).sending == 1)
        sim(signal).stop_reading()
        signal.say("!br mkdir two", place=GROUP)
        eventually(lambda: sim(signal).unread() > 0)
        signal.break_connection()
        assert sorted(signal.hears(2)) == ["Made /one", "Made /two"]
    finally:
        sim(signal).takes_s = 0.0
    signal.settle()
    assert len(signal.texts()) == 3


def test_a_rate_limit_is_waited_out(signal: Rig):
    sim(signal).faults.append({"type": "RATE_LIMIT_FAILURE", "retryAfterSeconds": 0.2})
    assert signal.ask("hello") == "heard: hello"


@pytest.mark.parametrize(
    ("fault", "words"),
    [({"type": "UNREGISTERED_FAILURE"}, "UNREGISTERED_FAILURE"), (-1, "refuses"),
     ({"type": "UNREGISTERED_FAILURE", "in_error": True}, "UNREGISTERED_FAILURE"),
     ({"type": "RATE_LIMIT_FAILURE", "retryAfterSeconds": 86_400}, "RATE_LIMIT_FAILURE")],
)  # fmt: skip
def test_a_send_that_fails_is_reported_and_the_next_question_works(signal: Rig, fault: object, words: str):
    sim(signal).faults.append(fault)
    signal.say("hello")
    eventually(lambda: words in (signal.status()["last_error"] or ""))
    assert signal.ask("again") == "heard: again"


def test_whose_safety_number_changed_is_not_answered_any_more(signal: Rig):
    sim(signal).faults.append({"type": "IDENTITY_FAILURE"})
    signal.say("hello")
    eventually(lambda: "safety number" in (signal.status()["last_error"] or ""))
    signal.say("again")
    signal.owner = signal.crowd[-1]
    signal.settle()
    assert len(signal.runs()) == 1


def test_half_a_line_before_a_lost_connection_hurts_nothing(signal: Rig):
    sim(signal).junk = b'{"jsonrpc":"2.0","method":"receive","params":{"envelope":'
    try:
        sim(signal).push(signal.owner, now(), {"typingMessage": {}})
    finally:
        sim(signal).junk = b""
    signal.break_connection()
    assert signal.ask("hello", id=str(now())) == "heard: hello"


def test_a_send_that_is_never_answered_is_given_up_and_reported(signal: Rig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(signal_socket, "CALL_S", 0.3)
    sim(signal).faults.append("silence")
    signal.say("hello")
    eventually(lambda: "did not take it in time" in (signal.status()["last_error"] or ""))
    monkeypatch.undo()
    assert signal.ask("again") == "heard: again"


def test_code_is_shown_in_one_width(signal: Rig):
    assert signal.ask("code 2") == "Look:\nvalue_0 = 0\nvalue_1 = 1\nThat is it."
    assert sim(signal).sent[-1]["textStyle"] == ["6:24:MONOSPACE"]


@pytest.mark.parametrize(("over_http", "several"), [(True, True), (True, False), (False, False)])
def test_http_and_a_daemon_of_one_account_do_as_well(stage: Stage, over_http: bool, several: bool):
    with Rig("signal", stage.daemon, over_http=over_http, several=several) as rig:
        assert rig.ask("hello") == "heard: hello"
        assert all(("account" in sent) == several for sent in sim(rig).sent)
        rig.break_connection()
        rig.say("again")
        assert rig.hears(2, 20.0)[1] == "heard: again"


def test_a_signal_cli_that_is_not_there_yet_is_waited_for(stage: Stage):
    rig = Rig("signal", stage.daemon)
    rig.start(wait=False)
    try:
        detail = rig.until_state("reconnecting")["detail"]
        assert "daemon --socket` running?" in detail
        with sim(rig):
            rig.until_state("connected")
            assert rig.ask("hello") == "heard: hello"
    finally:
        rig.stop()


def test_an_unknown_account_and_an_empty_list_end_the_bridge_with_what_to_do(stage: Stage):
    cases: list[tuple[dict[str, Any], str]] = [
        ({"account": "+15559"}, "register or link it first"),
        ({"account": None}, "bridge.signal.account is not set"),
        ({"people": [], "group": None}, "add your number (+...) to bridge.signal.allowed_numbers"),
    ]
    for more, words in cases:
        rig = Rig("signal", stage.daemon, **more)
        with sim(rig):
            rig.start(wait=False)
            try:
                assert words in rig.until_state("failed")["detail"]
            finally:
                rig.stop()


def test_our_own_signal_cli_is_started_so_that_messages_wait(tmp_path: Path):
    argv = command("+1555", "/data/signal", Path("/run/x"))
    assert argv == [
        "signal-cli", "--config", "/data/signal", "-a", "+1555", "daemon", "--socket", "/run/x",
        "--receive-mode", "manual",
    ]  # fmt: skip
    (tmp_path / "data").mkdir()
    assert str(tmp_path / "data") in command("+1555", str(tmp_path / "data"), Path("/run/x"))
    (tmp_path / "data" / "accounts.json").touch()
    assert command("+1555", str(tmp_path / "data"), Path("/run/x"))[:3] == [
        "signal-cli", "--config", str(tmp_path),
    ]  # fmt: skip


# Serves the socket it is told to, as the fake does; the test ends it by its pid.
SERVING = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.sim.signal import Signal
with Signal(Path(sys.argv[sys.argv.index("--socket") + 1]), several=False):
    Path({pid!r}).write_text(str(os.getpid()))
    time.sleep(300)
"""
UNREGISTERED = """
import sys
sys.exit("User +1555 is not registered.")
"""


def programmed(folder: Path, program: str) -> dict[str, Any]:
    """A bridge's settings with a `signal-cli` of our own on the PATH, started by the bridge."""
    file = folder / "signal-cli"
    file.write_text(f"#!{sys.executable} -P\n{program}")
    file.chmod(0o755)
    return {"spawn": True, "env": {"PATH": f"{folder}:{SIM}:{os.environ['PATH']}"}}


def test_a_signal_cli_of_our_own_is_started_started_again_when_it_dies_and_ended(
    stage: Stage, tmp_path: Path
):
    pid = tmp_path / "pid"
    more = programmed(tmp_path, SERVING.format(root=str(ROOT), pid=str(pid)))
    rig = Rig("signal", stage.daemon, **more)
    rig.start(wait=False)
    try:
        rig.until_state("connected")
        first = int(pid.read_text())
        os.kill(first, signals.SIGKILL)
        eventually(lambda: int(pid.read_text() or 0) not in (0, first), 20.0)
        rig.until_state("connected")
        assert "signal-cli ended (exit code -9)" in (rig.status()["last_error"] or "")
    finally:
        rig.stop()
    assert gone(int(pid.read_text()))


def test_a_signal_cli_of_our_own_without_the_account_says_what_to_do(stage: Stage, tmp_path: Path):
    rig = Rig("signal", stage.daemon, **programmed(tmp_path, UNREGISTERED))
    rig.start(wait=False)
    try:
        assert "Register or link it first" in rig.until_state("failed")["detail"]
    finally:
        rig.stop()
