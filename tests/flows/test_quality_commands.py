"""`eval`, `calibrate` and `replay` on what a real daemon has kept, and on a folder of outcome-labelled requests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon, Stage, eventually
from tests.sim.handle import ROOT

HARD = "design tenant isolation for our job queue across services"
ASKED = {
    "w1": ["rename the variable x to y in a.py", "that's wrong, it still fails"],
    "w2": [f"{HARD} and prove that no two workers hold the same lock", "thanks"],
    "w3": ["what does the -p flag of mkdir do", "now write a one-line summary of ls"],
}


@pytest.fixture(scope="module")
def worked() -> Iterator[Daemon]:
    """A daemon that did some work and wrote it down."""
    with Stage(llama_swap={"fallback_model": "gemma-small"}, decision={"knob": 0.165}) as stage:
        daemon = stage.daemon
        for key, texts in ASKED.items():
            messages: list[dict[str, str]] = []
            for text in texts:
                messages.append({"role": "user", "content": text})
                body = {"model": "auto", "messages": messages}
                found = daemon.send("POST", "/v1/chat/completions", body, x_session_id=key)
                messages.append({"role": "assistant", "content": found.text})
        eventually(lambda: said(daemon, "replay", "--policy", policy(daemon, 9.0)).count("6 kept in all"))
        yield daemon


def policy(daemon: Daemon, knob: float) -> str:
    file = daemon.home / "policy.yaml"
    file.write_text(f"decision:\n  knob: {knob}\n")
    return str(file)


def command(daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "brainrouter", *words], env={**daemon._env, "COLUMNS": "160"}, cwd=ROOT,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def said(daemon: Daemon, *words: str) -> str:
    found = command(daemon, *words)
    assert found.returncode == 0, found.stderr
    return " ".join(found.stdout.split())


def test_a_replay_says_what_another_knob_would_have_changed(worked: Daemon) -> None:
    never = said(worked, "replay", "--policy", policy(worked, 9.0))
    assert "with knob 9.000" in never
    assert "cloud -> local" in never
    assert HARD in never
    always = said(worked, "replay", "--policy", policy(worked, -9.0))
    assert "local -> cloud" in always
    assert "1 local answers known to be bad would have gone to the cloud" in always


def test_a_policy_with_a_mistake_is_told_by_its_key(worked: Daemon) -> None:
    (worked.home / "bad.yaml").write_text("decision:\n  nob: 1\n")
    found = command(worked, "replay", "--policy", str(worked.home / "bad.yaml"))
    assert found.returncode == 1
    assert "key `decision.nob` is not known" in found.stderr


def test_eval_counts_own_outcomes_and_scores_a_folder(worked: Daemon, tmp_path: Path) -> None:
    rows = [
        {"id": str(at), "text": text, "p_small": at % 2, "p_large": 1.0, "meta": {"kind": "ours"}}
        for at, text in enumerate(
            ["print hello", "prove the scheduler lock-free", "sort a list", "find the race"] * 4
        )
    ]
    (tmp_path / "swe.dev.jsonl").write_text("\n".join(map(json.dumps, rows)))
    shown = said(worked, "eval", "--data", str(tmp_path))
    for router in ("brainrouter", "heuristic", "length", "random", "always local", "always cloud"):
        assert router in shown
    assert "outcome-labelled requests" in shown
    assert "Your own outcomes: 3 turns" in shown


def test_eval_says_which_line_cannot_be_read(worked: Daemon, tmp_path: Path) -> None:
    (tmp_path / "swe.dev.jsonl").write_text('{"text": "x"}\n')
    found = command(worked, "eval", "--data", str(tmp_path))
    assert found.returncode == 1
    assert "swe.dev.jsonl, line 1" in found.stderr


def test_calibrate_gives_a_knob_and_says_what_it_stands_on(worked: Daemon) -> None:
    shown = said(worked, "calibrate", "--cloud-share", "30%")
    assert "of your own requests were weighed so far; the shipped curve stands in" in shown
    assert "knob:" in shown
    assert "30% to the cloud" in shown
