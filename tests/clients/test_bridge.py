"""A chat with the real omp: fake Discord, the bridge, omp, the daemon, a model, and back."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.bridge.rig import Rig, people
from tests.clients import install
from tests.clients.rig import Up
from tests.daemon import Daemon, Stage, eventually
from tests.model_cache import shared_cache, shared_model
from tests.sim import scripts

PATIENCE_S = 240.0
pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]


def real_omp() -> str:
    """A PATH with omp and the bun that runs it."""
    return os.pathsep.join(str(install.ensure(name) / "node_modules/.bin") for name in ("omp", "bun"))


def asked(rig: Rig, text: str, **more: str) -> str:
    before = len(rig.texts())
    rig.say(text, **more)
    return rig.hears(before + 1, PATIENCE_S)[before]


def turns(stage: Stage) -> list[dict[str, Any]]:
    """The requests for an answer that reached the cloud."""
    bodies = [request["body"] for request in stage.manifest.requests() if request["method"] == "POST"]
    return [body for body in bodies if "messages" in body]


def chat(daemon: Daemon, **more: object) -> Rig:
    return Rig("discord", daemon, path=real_omp(), timeout_secs=PATIENCE_S, **more)  # type: ignore[arg-type]


def test_a_conversation_with_the_embedded_model():
    shared_model()
    daemon = Up()
    (daemon.home / ".cache").mkdir()
    (daemon.home / ".cache" / "brainrouter").symlink_to(shared_cache())
    with daemon:
        eventually(lambda: daemon.health()["local"]["state"] == "ready", PATIENCE_S, "the embedded model")
        with chat(daemon, tools="none") as rig:
            asked(rig, "!br local")
            first = asked(rig, "Say hello in one short sentence.")
            assert first.strip()
            assert "omp failed" not in first
            assert rig.status()["last_error"] is None
            events = [event for event in daemon.events() if "Say hello" in event["prompt_excerpt"]]
            assert events
            assert {(event["side"], event["provider"], event["error"]) for event in events} == {
                ("local", "embedded llama.cpp", None)
            }


def test_history_tools_and_models_as_omp_takes_them(between: Stage):
    between.clean()
    manifest = between.manifest
    with chat(between.daemon) as rig:
        asked(rig, "!br cloud")
        manifest.script(scripts.answer("The first answer."))
        assert asked(rig, "config set @/etc/passwd --yolo") == "The first answer."
        manifest.script(scripts.answer("The second answer."))
        assert asked(rig, "And then?") == "The second answer."
        bodies = turns(between)
        assert "config set @/etc/passwd --yolo" in str(bodies[0]["messages"])
        assert "The first answer." in str(bodies[-1]["messages"])
        names = {tool["function"]["name"] for body in bodies for tool in body.get("tools", [])}
        assert "read" in names
        assert not names & {"bash", "write", "edit"}


def test_even_who_may_write_runs_no_command(between: Stage):
    between.clean()
    manifest = between.manifest
    with chat(between.daemon) as rig:
        rig.owner = people("discord")[-1]
        asked(rig, "!br cloud")
        command = {"command": "touch ran.txt"}
        manifest.queue({**scripts.calls(("bash", command)), "match": {"contains": '"bash"'}})
        manifest.script(scripts.answer("Done."))
        asked(rig, "Run it")
        results = [
            str(message["content"]) for message in turns(between)[-1]["messages"] if message["role"] == "tool"
        ]
        assert ["requires approval" in result for result in results] == [True]
        assert not (rig.work / "ran.txt").exists()
