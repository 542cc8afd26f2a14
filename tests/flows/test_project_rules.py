"""A project's `.brainrouter.yaml` over the real daemon: what it holds never reaches the cloud, fallback included."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Answer, Daemon, eventually
from tests.sim.handle import SimLlamaSwap, SimManifest
from tests.sim.scripts import status

ASK = """
import http.client, json, socket, sys
for line in sys.stdin:
    port, unix, path, headers, body = json.loads(line)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    if unix:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(unix)
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json", **headers})
    reply = connection.getresponse()
    head = {name.lower(): value for name, value in reply.getheaders()}
    print(json.dumps([reply.status, head, reply.read().decode()]), flush=True)
    connection.close()
"""


class Harness:
    """A client of its own process, since its folder is what the daemon looks at."""

    def __init__(self, daemon: Daemon, folder: Path) -> None:
        self._daemon = daemon
        self._child = subprocess.Popen(
            [sys.executable, "-c", ASK], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(
        self, said: str, model: str = "auto", path: str = "/v1/chat/completions", *, unix: bool = False,
        headers: dict[str, str] | None = None, **fields: Any,
    ) -> Answer:  # fmt: skip
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        body = {"model": model, "messages": [{"role": "user", "content": said}], **fields}
        body = {name: value for name, value in body.items() if value is not None}
        where = str(self._daemon.socket_path) if unix else None
        self._child.stdin.write(json.dumps([self._daemon.port, where, path, headers or {}, body]) + "\n")
        self._child.stdin.flush()
        status, head, answered = json.loads(self._child.stdout.readline())
        return Answer(status, head, answered.encode())

    def close(self) -> None:
        self._child.send_signal(signal.SIGKILL)
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def project(daemon: Daemon) -> Path:
    folder = daemon.home / f"shop-{os.urandom(4).hex()}"
    (folder / "src").mkdir(parents=True)
    return folder


@pytest.fixture
def harness(daemon: Daemon, project: Path) -> Iterator[Harness]:
    found = Harness(daemon, project)
    yield found
    found.close()


def say(project: Path, text: str) -> None:
    (project / ".brainrouter.yaml").write_text(text)


@pytest.mark.parametrize("unix", [False, True])
@pytest.mark.parametrize("model", ["auto", "cloud", "claude-opus-9"])
def test_a_private_project_is_answered_here_whatever_was_asked_for(
    daemon: Daemon, manifest: SimManifest, harness: Harness, project: Path, model: str, unix: bool
) -> None:
    say(project, "never_cloud: true")
    text = f"keep this {project.name}"
    found = harness.ask(text, model, unix=unix, headers={"x-brainrouter-route": "cloud"})
    assert (found.status, found.side) == (200, "local")
    event = daemon.event(text)
    assert (event["stage"], event["cwd"]) == ("privacy", str(project))
    assert event["reason"] == f"kept local by never_cloud in {project.name}/.brainrouter.yaml"
    assert manifest.requests() == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_private_request_that_fails_here_is_told_so_and_never_sent_away(
    manifest: SimManifest, llama_swap: SimLlamaSwap, harness: Harness, project: Path, stream: bool
) -> None:
    say(project, "never_cloud: true")
    llama_swap.script(status(500))
    found = harness.ask("keep this, too", stream=stream)
    assert found.status >= 500
    assert "never_cloud in" in found.error["message"]
    assert "the cloud was not asked" in found.error["message"]
    assert manifest.requests() == []


def test_a_request_without_the_rule_may_go_anywhere(
    manifest: SimManifest, harness: Harness, project: Path
) -> None:
    assert harness.ask("nothing is said here").side == "cloud"
    assert len(manifest.requests()) == 1


def test_a_rule_above_holds_below_and_a_change_holds_at_once(daemon: Daemon, project: Path) -> None:
    inner = Harness(daemon, project / "src")
    try:
        assert inner.ask("before").side == "cloud"
        say(project, "route: local")
        eventually(lambda: inner.ask("after").side == "local", what="the new rule")
        say(project, "route: auto")
        eventually(lambda: inner.ask("again").side == "cloud", what="the rule's end")
    finally:
        inner.close()


def test_a_wish_for_local_is_no_wall(harness: Harness, llama_swap: SimLlamaSwap, project: Path) -> None:
    say(project, "route: local")
    assert harness.ask("hello").side == "local"
    assert harness.ask("hello", "cloud").side == "cloud"
    llama_swap.script(status(500))
    assert harness.ask("hello again").side == "cloud"


def test_naming_a_held_file_holds_the_conversation_from_then_on(
    daemon: Daemon, manifest: SimManifest, harness: Harness, project: Path
) -> None:
    say(project, "rules:\n  - paths: ['secrets/**']\n    never_cloud: true\n")
    session = {"x-session-id": f"s-{project.name}"}
    assert harness.ask("look at src/main.py", headers=session).side == "cloud"
    assert harness.ask("look at secrets/key", headers=session).side == "local"
    assert harness.ask("and now a summary of it", headers=session).side == "local"
    assert harness.ask("and once more", "cloud", headers=session).side == "local"
    assert harness.ask("look at src/main.py", headers={"x-session-id": "another"}).side == "cloud"
    event = daemon.event("and now a summary of it")
    assert "secrets/key is named" in event["reason"]
    assert len(manifest.requests()) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("never_clod: true", "key `never_clod` is not known; did you mean `never_cloud`?"),
        ("route: cloud", "expected local or auto"),
        ("manifest: {base_url: 'http://127.0.0.1:1/v1'}", "key `manifest` is not known"),
        ("never_cloud: [", "line 1"),
        ("\udcff", "not UTF-8"),
        ("#" * 70_000, "more than 65536 bytes"),
    ],
)
def test_a_file_with_a_mistake_keeps_everything_here_and_says_why(
    daemon: Daemon, harness: Harness, project: Path, text: str, said: str
) -> None:
    (project / ".brainrouter.yaml").write_bytes(text.encode(errors="surrogateescape"))
    ask = f"hello {project.name}"
    assert harness.ask(ask).side == "local"
    assert said in daemon.event(ask)["reason"]


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_what_is_no_plain_file_keeps_everything_here(harness: Harness, project: Path, kind: str) -> None:
    file = project / ".brainrouter.yaml"
    if kind == "link":
        file.symlink_to("/dev/zero")
    elif kind == "fifo":
        os.mkfifo(file)
    else:
        file.mkdir()
    assert harness.ask("hello").side == "local"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/messages", {"system": "# Environment\n - Primary working directory: {}\n - Platform: linux"}),
        ("/v1/messages", {"system": [{"type": "text", "text": "Working directory: {}\nToday"}]}),
        (
            "/v1/responses",
            {"input": [{"role": "user", "content": "<environment_context>\n  <cwd>{}</cwd>\n  x"}]},
        ),
    ],
)
def test_the_folder_that_the_prompt_names_counts_as_well(
    daemon: Daemon, project: Path, path: str, fields: dict[str, Any]
) -> None:
    say(project, "never_cloud: true")
    elsewhere = Harness(daemon, daemon.home)
    try:
        body = json.loads(json.dumps({"max_tokens": 9, **fields}).replace("{}", str(project)))
        named = {"x-session-id": f"p-{project.name}"}
        assert elsewhere.ask("hello", "cloud", path, headers=named, **body).side == "local"
    finally:
        elsewhere.close()


def test_a_dry_run_says_the_same(harness: Harness, project: Path) -> None:
    say(project, "never_cloud: true")
    bodies: list[dict[str, Any]] = [{}, {"text": "prove it", "messages": None}]
    for body in bodies:
        found = harness.ask("prove it", path="/api/decide", **body).json()
        assert (found["decision"], found["stage"], found["private"]) == ("local", "privacy", True)
