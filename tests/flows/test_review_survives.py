"""What was answered is kept: the daemon is killed at any moment, and no review is lost or half there."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon, eventually
from tests.repos import make_repo, write
from tests.sim.handle import SimLlamaSwap
from tests.sim.scripts import answer, silence

OBJECTS = "STATUS: needs_revision\nFINDING: a.py\nQUOTE: return a - b\nWHY: it subtracts"


@pytest.fixture
def model() -> Iterator[SimLlamaSwap]:
    with SimLlamaSwap() as sim:
        sim.script(answer(OBJECTS))
        yield sim


@pytest.fixture
def daemon(model: SimLlamaSwap) -> Iterator[Daemon]:
    home = Path(tempfile.mkdtemp(prefix="br-"))  # not tmp_path: the path of a Unix socket has to be short
    made = make_repo(home / "project")
    write(made, {"a.py": "def add(a, b):\n    return a - b\n"})
    config = {"review": {"forced_mode": "local"}, "limits": {"drain_s": 0.3}}
    one = Daemon(llama_swap=f"{model.url}/v1", home=home, config=config)
    try:
        with one:
            yield one
    finally:
        shutil.rmtree(home, ignore_errors=True)


def kill(daemon: Daemon) -> None:
    assert daemon.child is not None
    daemon.child.kill()
    daemon.child.wait()
    daemon.socket_path.with_suffix(".port").unlink(missing_ok=True)


def ask(daemon: Daemon, task: str, acknowledged: dict[str, dict[str, Any]]) -> None:
    body = {"taskId": task, "summary": f"summary of {task}", "cwd": str(daemon.home / "project")}
    with contextlib.suppress(OSError, ValueError, EOFError, AssertionError):
        found = daemon.send("POST", "/review/api/request", body)
        if found.status == 200:
            acknowledged[task] = found.json()


def check(daemon: Daemon, acknowledged: dict[str, dict[str, Any]]) -> None:
    """Everything acknowledged is there, whole; nothing is left running."""
    rows = daemon.get("/review/api/sessions?limit=500")["sessions"]
    by_task = {row["taskId"]: row for row in rows}
    for task, said in acknowledged.items():
        assert by_task[task]["status"] == said["status"], task
        detail = daemon.get(f"/review/api/sessions/{said['sessionId']}")
        assert detail["rounds"][-1]["feedback"], task
    assert not any(row["running"] for row in rows)
    assert all(row["interrupted"] for row in rows if row["status"] == "pending" and row["iteration"])


def killed_at_random(daemon: Daemon, times: int, seed: int) -> None:
    chance = random.Random(seed)
    acknowledged: dict[str, dict[str, Any]] = {}
    for turn in range(times):
        callers = [
            threading.Thread(target=ask, args=(daemon, f"task-{turn}-{n}", acknowledged)) for n in range(4)
        ]
        for caller in callers:
            caller.start()
        callers[0].join(chance.random() * 1.2)
        kill(daemon)
        for caller in callers:
            caller.join()
        daemon.start()
        check(daemon, acknowledged)
    assert acknowledged
    with contextlib.closing(sqlite3.connect(daemon.database)) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)


@pytest.mark.timeout(120)
def test_reviews_survive_a_daemon_that_is_killed_at_random(daemon: Daemon):
    killed_at_random(daemon, 4, 1)


@pytest.mark.load
@pytest.mark.timeout(1200)
def test_reviews_survive_two_hundred_kills(daemon: Daemon):
    killed_at_random(daemon, 200, 2)


def test_a_round_that_was_running_shows_as_interrupted_and_is_taken_up(daemon: Daemon, model: SimLlamaSwap):
    model.script(silence())
    caller = threading.Thread(target=ask, args=(daemon, "cut", {}))
    caller.start()
    eventually(lambda: [row for row in daemon.get("/review/api/sessions")["sessions"] if row["running"]])
    kill(daemon)
    caller.join()
    model.script(answer(OBJECTS))
    daemon.start()
    (row,) = daemon.get("/review/api/sessions")["sessions"]
    assert (row["status"], row["interrupted"], row["running"]) == ("pending", True, False)
    assert "stopped" in row["reason"]
    found: dict[str, dict[str, Any]] = {}
    ask(daemon, "cut", found)
    assert (found["cut"]["sessionId"], found["cut"]["iteration"]) == (row["id"], 1)
    assert found["cut"]["status"] == "needs_revision"


def test_a_caller_that_leaves_gets_the_result_with_its_next_call(daemon: Daemon, model: SimLlamaSwap):
    model.script(answer(OBJECTS, delay_s=0.3))
    body = b'{"taskId":"left","summary":"s","cwd":"%b"}' % str(daemon.home / "project").encode()
    with contextlib.closing(daemon.connect()) as connection:
        connection.request("POST", "/review/api/request", body, {"content-type": "application/json"})
        eventually(lambda: daemon.get("/review/api/sessions")["total"])
    row = eventually(
        lambda: [
            row for row in daemon.get("/review/api/sessions")["sessions"] if row["status"] == "needs_revision"
        ]
    )[0]
    found: dict[str, dict[str, Any]] = {}
    for _ in range(2):
        ask(daemon, "left", found)
        assert (found["left"]["sessionId"], found["left"]["iteration"]) == (row["id"], 1)
        assert found["left"]["unchanged"]


def test_settings_changed_at_run_time_survive_a_restart(daemon: Daemon):
    daemon.send("POST", "/api/review-config", {"forced_mode": "cloud", "max_iterations": 2})
    kill(daemon)
    daemon.start()
    found = daemon.get("/api/review-config")
    assert (found["forced_mode"], found["max_iterations"]) == ("cloud", 2)
    assert found["changed"] == ["forced_mode", "max_iterations"]


def test_a_stop_in_the_middle_of_a_round_ends_cleanly_and_is_said(daemon: Daemon, model: SimLlamaSwap):
    model.script(silence())
    caller = threading.Thread(target=ask, args=(daemon, "stopped", {}))
    caller.start()
    eventually(lambda: [row for row in daemon.get("/review/api/sessions")["sessions"] if row["running"]])
    assert daemon.stop(20) == 0
    caller.join()
    assert "Traceback" not in daemon.log()
    daemon.socket_path.with_suffix(".port").unlink(missing_ok=True)
    daemon.start()
    (row,) = daemon.get("/review/api/sessions")["sessions"]
    assert row["interrupted"]
