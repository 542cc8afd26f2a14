"""The routes that only read, in the shapes that others rely on."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from brainrouter.adapters.history import past
from brainrouter.wire.event import RoutingEvent
from tests.daemon import Daemon, Stage, chat_body, eventually
from tests.sim.handle import SimLlamaSwap
from tests.sim.scripts import answer, status

EVENT_FIELDS = set(
    msgspec.structs.asdict(RoutingEvent(id=1, time=0, dialect="", requested_model="", stream=False))
)


def test_health_is_ok_and_says_how_each_part_is(stage: Stage) -> None:
    health = stage.daemon.health()
    assert (health["status"], health["draining"], health["in_flight"]) == ("ok", False, 0)
    assert health["cloud"] == {
        "state": "healthy", "url": f"{stage.manifest.url}/v1", "key": "from $MANIFEST_API_KEY",
    }  # fmt: skip
    assert (health["local"]["state"], health["local"]["model"]) == ("healthy", "gemma-small")
    assert health["local"]["models"] == ["qwen-coder", "gemma-small", "mystery"]
    assert health["classifier"]["state"] == "off"
    assert (health["breakers"], health["events_lost"]) == ({}, 0)
    assert health["uptime_s"] >= 0
    assert health["config_files"] == [str(stage.daemon.config_file)]


def test_health_is_ok_with_both_sides_away_and_no_key() -> None:
    with Daemon(manifest="http://127.0.0.1:9/v1", llama_swap="http://127.0.0.1:9/v1", key="") as daemon:
        health = daemon.health()
        assert (health["status"], health["cloud"]["state"], health["local"]["state"]) == (
            "ok", "unreachable", "unreachable",
        )  # fmt: skip
        assert health["cloud"]["key"] == "missing: set $MANIFEST_API_KEY"
        found = daemon.chat("auto")
        assert found.status == 502
        assert found.error["message"]


def test_models_are_listed_in_openais_shape_and_in_anthropics_when_asked(daemon: Daemon) -> None:
    listed = daemon.get("/v1/models")
    assert listed["object"] == "list"
    assert [row["id"] for row in listed["data"]] == [
        "auto", "local", "cloud", "qwen-coder", "gemma-small", "mystery",
    ]  # fmt: skip
    assert {row["id"]: row.get("context_length") for row in listed["data"]}["qwen-coder"] == 32768
    assert all(row["object"] == "model" and isinstance(row["created"], int) for row in listed["data"])
    theirs = daemon.get("/v1/models", anthropic_version="2023-06-01")
    assert (theirs["first_id"], theirs["has_more"]) == ("auto", False)
    assert all(row["type"] == "model" for row in theirs["data"])


def test_a_model_may_have_any_name_and_be_asked_for_by_it() -> None:
    names = ["qwen2.5-coder", "unsloth/gemma-3:4b", "name with space"]
    nobody = "http://127.0.0.1:9/v1"
    with (
        SimLlamaSwap(models=[{"id": name} for name in names]) as local,
        Daemon(manifest=nobody, llama_swap=f"{local.url}/v1") as daemon,
    ):
        for name in names:
            assert daemon.get(f"/v1/models/{name.replace(' ', '%20')}")["id"] == name
        assert daemon.get("/v1/models/unsloth%2Fgemma-3:4b")["id"] == names[1]
        gone = daemon.send("GET", "/v1/models/gone")
        assert (gone.status, gone.error["param"]) == (404, "model")
        assert daemon.chat("unsloth/gemma-3:4b").side == "local"


def test_local_models_are_told_with_their_state(daemon: Daemon) -> None:
    told = daemon.get("/api/models/llama-swap")
    assert told["reachable"] is True
    assert told["models"][0] == {
        "id": "qwen-coder",
        "state": "stopped",
        "context": 32768,
        "aliases": ["coder"],
    }


def test_every_request_leaves_one_event_with_every_field(daemon: Daemon) -> None:
    for number in range(3):
        daemon.chat("local", f"event number {number}")
    daemon.event("event number 2")
    listed = daemon.get("/api/routing-events?limit=2")
    assert [event["prompt_excerpt"] for event in listed["events"]] == ["event number 2", "event number 1"]
    assert all(set(event) == EVENT_FIELDS for event in listed["events"])
    assert listed["total"] >= 3


def test_secrets_in_a_prompt_are_masked_in_its_event(daemon: Daemon) -> None:
    daemon.chat("local", "my key is sk-abcdefgh12345678 keep it")
    event = daemon.event("my key is sk-*** keep it")
    assert "abcdefgh" not in str(event)


def test_a_key_that_an_upstream_repeats_is_nowhere() -> None:
    with Stage() as stage:
        stage.manifest.script(status(401, {"error": {"message": "bad key mnfst_sim_key_0001 given"}}))
        stage.llama_swap.script(status(500, {"error": {"message": "bad key mnfst_sim_key_0001 given"}}))
        found = stage.daemon.chat("cloud", "leak it")
        event = stage.daemon.event("leak it")
        assert event["attempts"][0] == "manifest auto: unauthorised: bad key mnfst_*** given"
        assert stage.daemon.stop() == 0
        rows = stage.daemon.database.read_bytes()
        for place in (found.body, str(event).encode(), stage.daemon.log().encode(), rows):
            assert b"mnfst_sim_key_0001" not in place


def test_statistics_count_what_happened() -> None:
    with Stage(llama_swap={"fallback_model": "gemma-small"}) as stage:
        daemon = stage.daemon
        daemon.chat("cloud")
        daemon.chat("local")
        stage.manifest.script(status(500))
        daemon.chat("cloud")
        daemon.chat(messages=3)
        eventually(lambda: daemon.get("/api/routing-stats")["requests"] == 4)
        stats = daemon.get("/api/routing-stats")
        assert (stats["cloud"], stats["local"], stats["fallbacks"], stats["errors"]) == (2, 1, 1, 1)
        assert stats["total_ms"]["p50"] > 0
        assert stats["reasons"]["asked for cloud"] == 2
        metrics = daemon.send("GET", "/metrics")
        assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
        text = metrics.body.decode()
        assert 'brainrouter_connections{end="client"} 1.0' in text
        assert "brainrouter_tasks " in text
        assert "brainrouter_events_lost_total 0.0" in text
        assert 'brainrouter_requests_total{decision="cloud"' in text
        assert "brainrouter_in_flight 0.0" in text
        assert "brainrouter_answer_seconds_bucket" in text


def test_the_services_are_told_apart(daemon: Daemon) -> None:
    services = daemon.get("/api/service-health")["services"]
    assert set(services) == {"cloud", "local", "classifier", "brainrouter"}
    assert {part["dot"] for part in services.values()} <= {"healthy", "idle", "loading", "unhealthy", "off"}


def test_what_runs_now_is_shown_while_it_runs(stage: Stage) -> None:
    stage.llama_swap.script(answer(gate="gate"))
    with stage.daemon.open_stream("local", "wait for me") as client:

        def waiting() -> bool:
            running = stage.daemon.get("/api/inference-status")["requests"]
            shown = [(one["phase"], one["prompt"], one["decision"]) for one in running]
            return shown == [("waiting", "wait for me", "local")]

        eventually(waiting)
        assert stage.daemon.health()["in_flight"] == 1
        stage.llama_swap.release()
        while b"[DONE]" not in client.recv(65536):
            pass
    assert stage.daemon.event("wait for me")["error"] is None
    assert stage.daemon.get("/api/inference-status") == {"active": 0, "requests": []}


@pytest.mark.parametrize("model", ["auto", "local", "cloud", "qwen-coder"])
def test_a_decision_can_be_asked_for_without_sending_anything(stage: Stage, model: str) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "prove it"}]}
    told = stage.daemon.send("POST", "/api/decide", body).json()
    assert told["decision"] == ("local" if model in ("local", "qwen-coder") else "cloud")
    assert {"decision", "reason", "stage", "ok_local", "ok_cloud", "gain", "ms"} <= told.keys()
    assert isinstance(told["gain"], float)
    assert isinstance(stage.daemon.send("POST", "/api/decide", {"text": "hi"}).json()["gain"], float)
    for sim in (stage.manifest, stage.llama_swap):
        assert [request for request in sim.requests() if request["method"] == "POST"] == []


@pytest.mark.parametrize("unix", [False, True])
def test_the_callers_folder_is_on_the_event(daemon: Daemon, unix: bool) -> None:
    text = f"where am I {unix}"
    with contextlib.closing(daemon.connect(unix=unix)) as connection:
        body = json.dumps(chat_body("local", text))
        connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        connection.getresponse().read()
        eventually(lambda: daemon.event(text)["cwd"] == os.getcwd())


@pytest.mark.parametrize(
    ("name", "shown"), [(b"plain", "plain"), ("für".encode(), "für"), (b"caf\xe9", "caf\ufffd")]
)
@pytest.mark.parametrize("ruled", [False, True])
def test_the_folder_is_that_of_the_process_that_calls(
    daemon: Daemon, tmp_path: Path, name: bytes, shown: str, ruled: bool
) -> None:
    folder = tmp_path / os.fsdecode(name)
    folder.mkdir()
    if ruled:
        (folder / ".brainrouter.yaml").write_text("never_cloud: true\n", encoding="utf-8")
    words = f"from a child in {shown}, {ruled}"
    program = (
        "import socket,sys,json; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "b=json.dumps({'model':sys.argv[3],'messages':[{'role':'user','content':sys.argv[2]}]}).encode();"
        "s.sendall(b'POST /v1/chat/completions HTTP/1.1\\r\\nhost: x\\r\\ncontent-type: application/json\\r\\n'"
        "b'content-length: %d\\r\\n\\r\\n'%len(b)+b); s.recv(65536); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(daemon.socket_path), words, "cloud" if ruled else "local"]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE) as child:
        (found,) = eventually(
            lambda: [e for e in daemon.events() if e["prompt_excerpt"] == words and e["cwd"]]
        )
        assert child.stdin is not None
        child.stdin.close()
    assert found["cwd"] == os.path.join(os.path.realpath(tmp_path), shown)
    assert (f"{shown}/.brainrouter.yaml" in found["reason"]) is ruled
    assert eventually(lambda: kept_of(daemon, words)) == [("local", "privacy" if ruled else "explicit", 200)]


def kept_of(daemon: Daemon, words: str) -> list[tuple[str | None, str, int | None]]:
    """What the store has of a request."""
    with contextlib.suppress(OSError):
        kept = [item.event for item in past(daemon.database)]
        return [
            (event.decision, event.stage, event.status) for event in kept if event.prompt_excerpt == words
        ]
    return []


def test_events_are_kept_in_sqlite(daemon: Daemon) -> None:
    daemon.chat("local", "remember me")
    assert eventually(lambda: kept_of(daemon, "remember me")) == [("local", "explicit", 200)]
    assert daemon.database.stat().st_mode & 0o777 == 0o600
    assert daemon.database.parent.stat().st_mode & 0o777 == 0o700
