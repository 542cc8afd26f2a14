"""pi talks to the embedded model: a real turn, from the harness to the weights and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.install import ensure
from tests.clients.rig import Home, Up
from tests.clients.roster import CLIENTS
from tests.clients.table import Table
from tests.daemon import eventually
from tests.model_cache import shared_cache, shared_model

pytestmark = [pytest.mark.clients, pytest.mark.timeout(600)]
READY_S = 300.0


def test_pi_has_a_text_turn_with_the_embedded_model(table: Table, tmp_path: Path):
    shared_model()
    pi = next(client for client in CLIENTS if client.name == "pi")
    for name in (pi.name, *pi.needs):
        ensure(name)
    up = Up()
    (up.home / ".cache").mkdir()
    (up.home / ".cache" / "brainrouter").symlink_to(shared_cache())
    with up:
        eventually(
            lambda: up.health()["local"].get("state") == "ready", READY_S, "the embedded model is ready"
        )
        home = Home(tmp_path / "home")
        home.make(up)
        installed = home.brainrouter("install", "pi", "--yes")
        assert installed.returncode == 0, installed.stdout + installed.stderr
        done = home.client(pi, "local", "What is the capital of France?")
        assert done.returncode == 0, done.stdout + done.stderr + up.log()[-2000:]
        event = eventually(lambda: up.events(), what="an event of the turn")[0]
    assert len(done.stdout.strip()) > 0
    assert (event["provider"], event["side"], event["error"]) == ("embedded llama.cpp", "local", None)
    assert event["completion_tokens"] > 0
    table.notes.append(
        "pi also has a real text turn with the embedded model (`brainrouter up` on a bare machine)."
    )
