"""The configuration is read again while the daemon serves; a bad one replaces nothing."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon, Stage, eventually
from tests.sim.handle import ROOT, SimManifest
from tests.sim.scripts import answer, cut_after


@pytest.fixture(scope="module")
def standing() -> Iterator[Stage]:
    with Stage(llama_swap={"fallback_model": "gemma-small"}) as stage:
        yield stage


@pytest.fixture(scope="module")
def other() -> Iterator[SimManifest]:
    """Another cloud, for the configuration to point to."""
    with SimManifest() as cloud:
        yield cloud


@pytest.fixture
def stage(standing: Stage) -> Iterator[Stage]:
    """The stage, clean; its configuration is put back afterwards."""
    standing.clean()
    before = standing.daemon.config_file.read_text(encoding="utf-8")
    yield standing
    standing.daemon.config_file.chmod(0o600)
    standing.daemon.config_file.write_text(before, encoding="utf-8")
    reread(standing.daemon)
    assert config(standing.daemon)["state"] == "ok"


def config(daemon: Daemon) -> dict[str, Any]:
    return daemon.health()["config"]


def says(daemon: Daemon, words: str) -> None:
    """Its log has these words; a thread of its own writes them."""
    eventually(lambda: words in daemon.log(), what=words)


def reread(daemon: Daemon) -> None:
    """SIGHUP, and wait until the file was read."""
    assert daemon.child is not None
    before = config(daemon)
    daemon.child.send_signal(signal.SIGHUP)
    eventually(lambda: config(daemon) != before, what="read again")


def change(daemon: Daemon, **sections: dict[str, Any]) -> None:
    """Change keys of the file in one step, as an editor does."""
    tree = json.loads(daemon.config_file.read_text(encoding="utf-8"))
    for section, keys in sections.items():
        tree[section] = tree.get(section, {}) | keys
    new = daemon.config_file.with_suffix(".new")
    new.write_text(json.dumps(tree), encoding="utf-8")
    new.replace(daemon.config_file)


def test_a_new_address_counts_for_the_next_request_and_the_running_one_ends_where_it_began(
    stage: Stage, other: SimManifest
) -> None:
    daemon = stage.daemon
    stage.manifest.queue(cut_after(2, "gate", text="from the first cloud, to its end"))
    other.script(answer("from the other"))
    with daemon.open_stream("cloud", "begun before") as under_way:
        assert b"200" in under_way.recv(1000)
        change(daemon, manifest={"base_url": f"{other.url}/v1"})
        reread(daemon)
        assert daemon.chat("cloud", "asked after").text == "from the other"
        stage.manifest.release()
        rest = _to_done(under_way)
    assert b"[DONE]" in rest
    assert daemon.event("begun before")["error"] is None
    assert daemon.health()["cloud"]["url"] == f"{other.url}/v1"


def _to_done(connection: Any) -> bytes:
    heard = b""
    while b"[DONE]" not in heard:
        data = connection.recv(65536)
        assert data, heard
        heard += data
    return heard


def test_a_changed_file_is_noticed_without_a_signal(stage: Stage) -> None:
    change(stage.daemon, llama_swap={"fallback_model": "qwen-coder"})
    eventually(lambda: stage.daemon.health()["local"]["model"] == "qwen-coder", what="the new fallback model")


def test_the_users_own_file_may_come_and_go_while_it_runs(stage: Stage) -> None:
    own = stage.daemon.home / ".config" / "brainrouter" / "brainrouter.yaml"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("review: {max_iterations: 9}\n", encoding="utf-8")
    rounds: Callable[[], int] = lambda: stage.daemon.get("/api/review-config")["max_iterations"]  # noqa: E731
    eventually(lambda: rounds() == 9, what="the new file")
    own.unlink()
    eventually(lambda: rounds() == 5, what="the file gone")


def test_what_was_changed_on_the_dashboard_stays_over_new_settings(stage: Stage) -> None:
    daemon = stage.daemon
    assert daemon.send("POST", "/api/review-config", {"forced_mode": "cloud"}).status == 200
    change(daemon, review={"forced_mode": "local", "max_iterations": 3})
    reread(daemon)
    found = daemon.get("/api/review-config")
    assert (found["forced_mode"], found["max_iterations"]) == ("cloud", 3)


def test_the_knob_and_the_prompt_of_local_models_count_at_once(stage: Stage, tmp_path: Path) -> None:
    daemon, prompt = stage.daemon, tmp_path / "lean.md"
    prompt.write_text("Answer in verse.", encoding="utf-8")
    change(daemon, decision={"knob": 9.0}, llama_swap={"local_system_prompt": str(prompt)})
    reread(daemon)
    assert daemon.send("POST", "/api/decide", {"text": "rename a variable"}).json()["knob"] == 9.0
    prompt.write_text("Answer in prose.", encoding="utf-8")  # the prompt's own file is watched too

    def sent() -> str:
        stage.llama_swap.reset()
        long = [{"role": "system", "content": "You are an agent. " * 400}, {"role": "user", "content": "go"}]
        daemon.send("POST", "/v1/chat/completions", {"model": "local", "messages": long})
        return json.dumps([request["body"] for request in stage.llama_swap.requests()])

    eventually(lambda: "Answer in prose." in sent(), what="the new prompt")


def test_the_level_of_the_log_can_be_turned_up(stage: Stage) -> None:
    daemon = stage.daemon
    change(daemon, log={"level": "error"})
    reread(daemon)
    daemon.chat("cloud", "not to be logged")
    daemon.event("not to be logged")
    change(daemon, log={"level": "info"})
    reread(daemon)
    daemon.chat("cloud", "to be logged")
    eventually(lambda: "to be logged" in daemon.log(), what="a line of the log")
    assert "not to be logged" not in daemon.log()


def test_a_limit_counts_for_new_connections(stage: Stage) -> None:
    change(stage.daemon, limits={"body_bytes": 1000})
    reread(stage.daemon)
    assert stage.daemon.chat("cloud", "x" * 2000).status == 413


def test_a_side_whose_settings_were_mended_is_tried_at_once(stage: Stage, other: SimManifest) -> None:
    daemon = stage.daemon
    stage.manifest.listen("refuse", drop=True)
    for _ in range(3):
        daemon.chat("cloud")
    assert daemon.health()["breakers"]["cloud"]["phase"] == "open"
    other.script(answer("mended"))
    change(daemon, manifest={"base_url": f"{other.url}/v1"})
    reread(daemon)
    assert daemon.chat("cloud").text == "mended"


def test_what_is_built_once_is_named_as_waiting_for_the_next_start(stage: Stage) -> None:
    daemon = stage.daemon
    change(daemon, bonsai={"model_path": "/models/x.gguf"}, bridge={"default_model": "y"})
    reread(daemon)
    assert config(daemon)["next_start"] == ["bonsai.model_path", "bridge.default_model"]
    says(daemon, "takes effect at the next start: bonsai.model_path, bridge.default_model")
    found = doctor(daemon)["daemon.config"]
    assert found["level"] == "note"
    assert "bridge.default_model" in found["what"]


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "broken YAML": (lambda file: file.write_text("manifest:\n  base_url: 'x\n"), "{file}: line "),
    "an unknown key": (
        lambda file: file.write_text("manifest:\n  stall_s: 9\n  base_ulr: x\n"),
        "{file}: line 3: key `manifest.base_ulr` is not known; did you mean `base_url`?",
    ),
    "a URL that is none": (
        lambda file: file.write_text("manifest: {base_url: 'file:///etc/passwd'}\n"),
        "{file}: line 1: key `manifest.base_url`: ",
    ),
    "a wrong type": (
        lambda file: file.write_text("decision:\n  knob: high\n"),
        "{file}: line 2: key `decision.knob`: ",
    ),
    "half of a file": (lambda file: file.write_bytes(file.read_bytes()[:40]), "{file}: line "),
    "not UTF-8": (lambda file: file.write_bytes(b"manifest: {}\n\xff"), "{file}: not UTF-8"),
    "gone": (lambda file: file.unlink(), "{file}: cannot be read: No such file"),
    "a folder": (lambda file: (file.unlink(), file.mkdir()), "{file}: cannot be read: Is a directory"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_replaces_nothing_and_is_told_everywhere(stage: Stage, what: str) -> None:
    daemon, (spoil, words) = stage.daemon, BAD[what]
    stage.manifest.script(answer("still here"))
    spoil(daemon.config_file)
    try:
        reread(daemon)
        found = config(daemon)
        assert found["state"] == "refused"
        assert found["error"].startswith(words.format(file=daemon.config_file))
        says(daemon, f"configuration refused, the one before stays in force: {found['error']}")
        assert daemon.get("/api/service-health")["services"]["brainrouter"]["config"] == found
        assert daemon.chat("cloud").text == "still here"
    finally:
        if daemon.config_file.is_dir():
            daemon.config_file.rmdir()
        daemon.config_file.touch()


def test_doctor_tells_of_a_daemon_that_refused_its_configuration(stage: Stage) -> None:
    daemon = stage.daemon
    daemon.config_file.write_text("manifest: {base_ulr: x}\n", encoding="utf-8")
    reread(daemon)
    found = doctor(daemon)["daemon.config"]
    assert found["level"] == "fault"
    assert "line 1: key `manifest.base_ulr`" in found["what"]


def doctor(daemon: Daemon) -> dict[str, Any]:
    """The findings of `brainrouter doctor`, by check."""
    command = [sys.executable, "-m", "brainrouter", "doctor", "--json", "--socket", str(daemon.socket_path)]
    env = {"HOME": str(daemon.home), "PATH": os.environ["PATH"], "MANIFEST_API_KEY": SimManifest.key}
    run = subprocess.run(command, env=env, capture_output=True, cwd=ROOT, check=False)
    return {finding["check"]: finding for finding in json.loads(run.stdout)["findings"]}


def test_a_storm_of_signals_under_load_loses_no_request(stage: Stage) -> None:
    daemon = stage.daemon
    assert daemon.child is not None
    for number in range(40):
        change(daemon, decision={"turn_budget": 60 + number})
        for _ in range(5):
            daemon.child.send_signal(signal.SIGHUP)
        assert daemon.chat("cloud", "under way").status == 200
    reread(daemon)
    assert config(daemon)["state"] == "ok"


def test_a_terminal_that_goes_away_ends_the_daemon_as_it_does_any_program() -> None:
    with contextlib.ExitStack() as undo:
        # Where the tests were told to survive a hangup (nohup), a daemon of theirs would do so, too.
        undo.callback(signal.signal, signal.SIGHUP, signal.signal(signal.SIGHUP, signal.SIG_DFL))
        ours, theirs = pty.openpty()
        daemon = Daemon()
        undo.callback(daemon.close)
        daemon.child = subprocess.Popen(
            [sys.executable, "-m", "brainrouter", "serve", "--config", str(daemon.config_file), "--tcp-addr",
             "127.0.0.1:0", "--socket", str(daemon.socket_path)],
            env={"HOME": str(daemon.home), "PATH": os.environ["PATH"]}, stdin=theirs, stdout=theirs, stderr=theirs,
            cwd=ROOT, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        eventually(daemon._serves, 20, "serving")
        daemon.child.send_signal(signal.SIGHUP)
        read_at = config(daemon)["read_at"]
        eventually(lambda: config(daemon)["read_at"] > read_at, what="read again, with the terminal there")
        os.close(ours)
        daemon.child.send_signal(
            signal.SIGHUP
        )  # what the kernel sends to the leader of a session with that terminal
        assert daemon.wait() == 0
