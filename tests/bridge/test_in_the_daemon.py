"""The bridge inside `brainrouter serve`: off by default, reported, and never in the way."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.bridge.rig import SIM
from tests.daemon import ROOT, Daemon, Stage, eventually
from tests.sim.signal import ACCOUNT, Signal

OWNER = "+15550000004"
CANARY = "MTA5.canary.token-that-must-not-show"


@pytest.fixture
def sim() -> Iterator[Signal]:
    with tempfile.TemporaryDirectory(prefix="br-") as folder, Signal(Path(folder) / "signal.sock") as made:
        yield made


def bridged(stage: Stage, sim: Signal, **discord: object) -> Daemon:
    home = Path(sim.address).parent / "home"
    (home / "data").mkdir(parents=True)
    signal = {"enabled": True, "account": ACCOUNT, "allowed_numbers": [OWNER], "rpc": sim.address}
    daemon = Daemon(
        manifest=f"{stage.manifest.url}/v1", llama_swap=f"{stage.llama_swap.url}/v1", home=home,
        config={"bridge": {"signal": signal, "discord": discord}},
        env={"PATH": f"{SIM}:{os.environ['PATH']}", "XDG_DATA_HOME": str(home / "data")},
    )  # fmt: skip
    daemon.config_file.chmod(0o600)
    return daemon


def status(daemon: Daemon) -> dict[str, Any]:
    """What /api/bridge-status says, which has the shape that openapi.yaml gives it."""
    page = yaml.safe_load((ROOT / "openapi.yaml").read_text(encoding="utf-8"))
    schema = {"$ref": "#/components/schemas/BridgeStatus", "components": page["components"]}
    body = daemon.get("/api/bridge-status")
    jsonschema.Draft202012Validator(schema).validate(body)
    return body


def test_a_question_is_answered_and_the_bridge_is_reported(stage: Stage, sim: Signal):
    with bridged(stage, sim) as daemon:
        eventually(lambda: status(daemon)["signal"]["state"] == "connected")
        sim.says("hello", user=OWNER)
        eventually(lambda: [sent["message"] for sent in sim.sent] == ["heard: hello"], 15.0)
        found = status(daemon)
        assert found["signal"] == {
            "enabled": True, "state": "connected", "detail": "answers 1 people", "sessions": 1, "last_error": None,
        }  # fmt: skip
        assert found["discord"]["state"] == "off"
        sim.says("hang", user=OWNER)
        runs = daemon.home / "data" / "omp-runs.jsonl"
        eventually(lambda: len(runs.read_text().splitlines()) == 2, 15.0)
        pid = json.loads(runs.read_text().splitlines()[1])["pid"]
        assert daemon.stop() == 0
        eventually(lambda: not Path(f"/proc/{pid}").exists())


def test_a_bridge_that_cannot_run_hurts_nothing_and_its_token_is_never_shown(stage: Stage, sim: Signal):
    with bridged(stage, sim, enabled=True, token=CANARY, allowed_users=[]) as daemon:
        eventually(lambda: status(daemon)["discord"]["state"] == "failed", 15.0)
        body = daemon.send("GET", "/api/bridge-status").body.decode()
        assert "bridge.discord.allowed_users" in body
        assert daemon.chat("local").status == 200
        shown = body + daemon.log() + json.dumps(daemon.health())
        assert CANARY not in shown


def test_a_token_that_others_may_read_is_refused(stage: Stage, sim: Signal):
    daemon = bridged(stage, sim, enabled=True, token=CANARY, allowed_users=["1"])
    daemon.config_file.chmod(0o644)
    with daemon:
        eventually(lambda: status(daemon)["discord"]["state"] == "failed", 15.0)
        assert "chmod 600" in status(daemon)["discord"]["detail"]
        assert CANARY not in daemon.log()


def test_a_bridge_whose_platform_is_away_says_so_and_takes_up_its_work_again(stage: Stage, sim: Signal):
    with bridged(stage, sim) as daemon:
        eventually(lambda: status(daemon)["signal"]["state"] == "connected")
        sim.drop(reopen=False)
        eventually(lambda: status(daemon)["signal"]["state"] == "reconnecting")
        assert "no connection to signal-cli" in status(daemon)["signal"]["detail"]
        sim.open()
        eventually(lambda: status(daemon)["signal"]["state"] == "connected", 15.0)
