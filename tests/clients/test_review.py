"""Claude Code and Codex have their work reviewed: they hear what is wrong, mend it, ask again and get the approval."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.install import ensure
from tests.clients.rig import BRAINROUTER, Home
from tests.clients.roster import CLIENTS, Client
from tests.daemon import Stage
from tests.sim import scripts

pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]

REVIEW = "mcp__brainrouter__request_review"
WRONG = "def add(a, b):\n    return a - b\n"
RIGHT = "def add(a, b):\n    return a + b\n"
OBJECTS = "STATUS: needs_revision\nFINDING: sums.py\nQUOTE: return a - b\nWHY: it subtracts; return the sum"
APPROVES = "STATUS: approved\nThe sum is a sum."


def write(client: Client, text: str) -> scripts.Script:
    """The client's own shell writes the file."""
    command = f"printf %s {shlex.quote(text)} > sums.py"
    field = "cmd" if "cmd" in client.arguments else "command"
    return scripts.calls((client.tool, {**client.arguments, field: command}))


def ask(task: str, summary: str) -> scripts.Script:
    return scripts.calls((REVIEW, {"taskId": task, "summary": summary}))


@pytest.mark.parametrize("name", ["claude", "codex"])
def test_a_client_mends_what_the_review_found(name: str, between: Stage, tmp_path: Path):
    client = next(one for one in CLIENTS if one.name == name)
    for part in (client.name, *client.needs):
        ensure(part)
    home = Home(tmp_path / "home")
    home.make(between.daemon)
    installed = home.brainrouter("install", client.name, "--yes")
    assert installed.returncode == 0, installed.stdout + installed.stderr
    home.env["ENABLE_TOOL_SEARCH"] = "false"  # Claude Code: the tool is offered at once
    task = f"sum-{name}"
    author, reviewer = between.llama_swap, between.manifest
    author.reset()
    steps = [write(client, WRONG), ask(task, "adds add"), write(client, RIGHT), ask(task, "adds for real")]
    author.queue(*({**step, "match": {"contains": REVIEW}} for step in steps))
    author.script(scripts.answer("The review approved it."))
    reviewer.reset()
    reviewer.queue(scripts.answer(OBJECTS), scripts.answer(APPROVES))
    between.daemon.send("POST", "/api/review-config", {"forced_mode": "cloud"})
    try:
        done = home.client(client, "local", "Write sums.py with a function add, and have it reviewed")
    finally:
        between.daemon.send("POST", "/api/review-config", {"forced_mode": "auto"})

    said = f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}\n{between.daemon.log()[-2000:]}"
    assert done.returncode == 0, said
    assert "The review approved it." in done.stdout, said
    assert (home.project / "sums.py").read_text(encoding="utf-8") == RIGHT
    rows = between.daemon.get("/review/api/sessions?limit=500")["sessions"]
    (row,) = [row for row in rows if row["taskId"] == task]
    assert (row["status"], row["iteration"], row["cwd"]) == ("approved", 2, str(home.project))
    session = between.daemon.get(f"/review/api/sessions/{row['id']}")
    assert [one["status"] for one in session["rounds"]] == ["needs_revision", "approved"]
    assert [one["role"] for one in session["messages"]] == ["author", "reviewer", "author", "reviewer"]
    heard = [entry["text"] for entry in author.requests() if entry["body"]]
    assert any("it subtracts; return the sum" in text for text in heard), (
        "the client showed its model the feedback"
    )


def test_the_inspector_lists_the_tools_and_calls_one(between: Stage, tmp_path: Path):
    inspector = ensure("inspector") / "node_modules/.bin/mcp-inspector"
    node = ensure("node") / "node_modules/.bin"

    def run(*arguments: str) -> Any:
        command = [
            str(inspector),
            "--cli",
            str(BRAINROUTER),
            "mcp",
            "--socket",
            str(between.daemon.socket_path),
        ]
        env = {**os.environ, "PATH": f"{node}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
        done = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, cwd=tmp_path, env=env, timeout=120, check=False
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    names = [tool["name"] for tool in run("--method", "tools/list")["tools"]]
    assert names == ["request_review", "get_session_list", "get_session_details", "resolve_session"]
    called = run("--method", "tools/call", "--tool-name", "get_session_list")
    assert not called["isError"]
    assert "sessions" in called["structuredContent"]
