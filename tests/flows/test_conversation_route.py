"""A person overrules the decision for a conversation, from the dashboard."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from tests.daemon import Answer, Daemon
from tests.sim.handle import SimLlamaSwap, SimManifest
from tests.sim.scripts import status

PATH = "/api/conversation-route"


def say(daemon: Daemon, key: str, text: str, model: str = "auto") -> Answer:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return daemon.send("POST", "/v1/chat/completions", body, x_session_id=key)


def pin(daemon: Daemon, key: object, route: object) -> Answer:
    return daemon.send("POST", PATH, {"conversation": key, "route": route}, unix=True)


@pytest.fixture
def key(daemon: Daemon) -> str:
    """A conversation that has begun."""
    found = f"talk-{os.urandom(4).hex()}"
    assert say(daemon, found, "hello").side == "cloud"
    return found


@pytest.mark.parametrize("model", ["auto", "cloud"])
def test_a_conversation_stays_local_until_it_is_let_go(daemon: Daemon, key: str, model: str) -> None:
    assert pin(daemon, key, "local").json() == {"conversation": key, "route": "local"}
    text = f"and now {key}"
    assert say(daemon, key, text, model).side == "local"
    event = daemon.event(text)
    assert (event["stage"], event["reason"]) == ("explicit", "asked for local by the dashboard")
    assert (event["conversation"], event["pinned"]) == (key, "local")
    assert say(daemon, "another", "hello", model).side == "cloud"
    pin(daemon, key, "auto")
    assert say(daemon, key, "and then", model).side == "cloud"


def test_a_conversation_goes_to_the_cloud_though_local_was_asked_for(daemon: Daemon, key: str) -> None:
    pin(daemon, key, "cloud")
    assert say(daemon, key, "hello", "local").side == "cloud"


def test_what_shall_stay_local_stays_when_the_local_model_fails(
    daemon: Daemon, manifest: SimManifest, llama_swap: SimLlamaSwap, key: str
) -> None:
    pin(daemon, key, "local")
    asked = len(manifest.requests())
    llama_swap.script(status(500))
    assert say(daemon, key, "hello again").status >= 500
    assert len(manifest.requests()) == asked


def test_a_projects_rule_is_stronger(daemon: Daemon, manifest: SimManifest, key: str) -> None:
    pin(daemon, key, "cloud")
    folder = daemon.home / "held"
    folder.mkdir(exist_ok=True)
    (folder / ".brainrouter.yaml").write_text("never_cloud: true")
    asked = len(manifest.requests())
    system: dict[str, Any] = {"role": "system", "content": f"Working directory: {folder}\n"}
    body = {"model": "auto", "messages": [system, {"role": "user", "content": "hello"}]}
    named = f"{key}-held"
    assert daemon.send("POST", "/v1/chat/completions", body, x_session_id=named).side == "local"
    assert pin(daemon, named, "cloud").status == 200
    assert daemon.send("POST", "/v1/chat/completions", body, x_session_id=named).side == "local"
    assert len(manifest.requests()) == asked


def test_over_tcp_it_needs_the_token_of_the_page(daemon: Daemon, key: str) -> None:
    body = {"conversation": key, "route": "local"}
    assert daemon.send("POST", PATH, body).status == 403
    assert daemon.send("POST", PATH, body, x_brainrouter_token="guess").status == 403
    assert say(daemon, key, "hello").side == "cloud"
    page = daemon.send("GET", "/")
    if page.status == 200:  # the page has been built
        found = re.search(rb'name="brainrouter-token" content="([^"]+)"', page.body)
        assert found
        assert daemon.send("POST", PATH, body, x_brainrouter_token=found[1].decode()).status == 200
        assert say(daemon, key, "hello").side == "local"


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"route": "local"}, 400, "conversation"),
        ({"conversation": "x"}, 400, "route"),
        ({"conversation": "x", "route": "mars"}, 400, "route"),
        ({"conversation": 7, "route": "local"}, 400, "conversation"),
        ({"conversation": "nobody", "route": "local"}, 404, "conversation"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(
    daemon: Daemon, body: dict[str, Any], code: int, param: str
) -> None:
    found = daemon.send("POST", PATH, body, unix=True)
    assert (found.status, found.error["param"]) == (code, param)
