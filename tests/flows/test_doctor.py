"""`doctor` finds each planted fault and names its mend; a healthy machine has none."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from brainrouter.flows.doctor import daemon as daemon_checks
from brainrouter.flows.doctor import llama_swap, manifest
from brainrouter.flows.doctor.examination import examine
from brainrouter.flows.doctor.finding import Finding
from brainrouter.flows.find_target import find_target
from brainrouter.flows.set_up import Options, SetUp
from brainrouter.harness.catalogue import HARNESSES
from tests.daemon import Daemon, Stage
from tests.sim import scripts
from tests.sim.handle import SimLlamaSwap, SimManifest

MODELS = [{"id": "qwen-coder", "context": 65536, "tools": True}]
NOBODY = "http://127.0.0.1:9/v1"


@dataclass
class Machine:
    """What is examined, and how a test bends it."""

    stage: Stage
    home: Path
    patch: pytest.MonkeyPatch
    env: dict[str, str] = field(default_factory=dict[str, str])
    socket: Path | None = None
    config: Path | None = None
    command: str = "/bin/true"

    def __post_init__(self) -> None:
        bin_folder = self.home / "bin"
        bin_folder.mkdir()
        for name in ("claude", "codex", "vibe"):
            (bin_folder / name).symlink_to("/bin/true")
        self.env = {
            "HOME": str(self.home), "PATH": f"{bin_folder}:/usr/bin:/bin", "MANIFEST_API_KEY": SimManifest.key,
            "SHELL": "/bin/bash",
        }  # fmt: skip
        self.use(self.stage.daemon)

    def use(self, daemon: Daemon) -> None:
        self.socket, self.config = daemon.socket_path, daemon.config_file

    @contextmanager
    def daemon(self, **how: object) -> Iterator[Daemon]:
        """Another daemon than the stage's."""
        usual = {"manifest": f"{self.stage.manifest.url}/v1", "llama_swap": f"{self.stage.llama_swap.url}/v1"}
        config = {"llama_swap": {"fallback_model": "qwen-coder"}}
        with Daemon(**{"config": config, **usual, **how}) as made:  # type: ignore[arg-type]
            self.use(made)
            yield made

    def set_up(self, name: str) -> None:
        assert self.socket is not None
        target, _ = asyncio.run(find_target(self.command, self.socket))
        made = SetUp(HARNESSES[name], target, self.env, self.socket.with_suffix(".port"))
        made.install(Options()).carry_out()

    def examine(self) -> list[Finding]:
        assert self.socket is not None
        return asyncio.run(examine(self.config, self.env, self.socket, self.command))


@pytest.fixture(scope="module")
def healthy() -> Iterator[Stage]:
    """A daemon between both fakes."""
    made = Stage(llama_swap={"fallback_model": "qwen-coder"})
    made.llama_swap = SimLlamaSwap(models=MODELS)
    with made:
        yield made


@pytest.fixture
def machine(healthy: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A healthy machine to bend."""
    for sim in (healthy.manifest, healthy.llama_swap):
        sim.reset()
    yield Machine(healthy, tmp_path, monkeypatch)
    healthy.daemon.socket_path.chmod(0o600)


def test_a_healthy_machine_has_no_fault_and_every_part_is_named(machine: Machine):
    for name in HARNESSES:
        (machine.home / "bin" / name).unlink(missing_ok=True)
        (machine.home / "bin" / name).symlink_to("/bin/true")
        machine.set_up(name)
    findings = machine.examine()
    assert [finding for finding in findings if finding.level == "fault"] == []
    wanted = {"config", "daemon", "daemon.socket", "classifier", "llama-swap", "manifest", "manifest.key"}
    wanted |= {"request.chat", "request.messages", "request.responses"} | {
        f"harness.{name}" for name in HARNESSES
    }
    assert wanted <= {finding.check for finding in findings}


Plant = Callable[[Machine], list[Finding]]
PLANTED: dict[str, tuple[Plant, str, str]] = {}


def planted(what: str, check: str, mend: str) -> Callable[[Plant], Plant]:
    """Register a fault: how it is planted, the check that must find it, and words of its mend."""

    def register(plant: Plant) -> Plant:
        assert what not in PLANTED
        PLANTED[what] = (plant, check, mend)
        return plant

    return register


@planted("a configuration that is no YAML", "config", "mend ")
def _(machine: Machine) -> list[Finding]:
    machine.config = machine.home / "broken.yaml"
    machine.config.write_text("manifest: [", encoding="utf-8")
    return machine.examine()


@planted("a misspelt key in the configuration", "config", "names the key")
def _(machine: Machine) -> list[Finding]:
    machine.config = machine.home / "odd.yaml"
    machine.config.write_text("manifest:\n  base_ulr: x\n", encoding="utf-8")
    return machine.examine()


@planted("no daemon", "daemon", "brainrouter up")
def _(machine: Machine) -> list[Finding]:
    machine.socket = machine.home / "brainrouter.sock"
    machine.socket.with_suffix(".port").write_text("9\n", encoding="ascii")
    return machine.examine()


@planted("something else on the port", "daemon.port", "ss -ltnp")
def _(machine: Machine) -> list[Finding]:
    machine.socket = machine.home / "brainrouter.sock"
    machine.socket.with_suffix(".port").write_text(f"{machine.stage.manifest.port}\n", encoding="ascii")
    return machine.examine()


@planted("a file where the socket should be", "daemon.socket", "rm ")
def _(machine: Machine) -> list[Finding]:
    machine.socket = machine.home / "brainrouter.sock"
    machine.socket.touch()
    machine.socket.with_suffix(".port").write_text("9\n", encoding="ascii")
    return machine.examine()


@planted("a socket that was removed", "daemon.socket", "brainrouter up")
def _(machine: Machine) -> list[Finding]:
    machine.socket = machine.home / "brainrouter.sock"
    machine.socket.with_suffix(".port").write_text(f"{machine.stage.daemon.port}\n", encoding="ascii")
    return machine.examine()


@planted("a socket that others may use", "daemon.socket", "chmod 600")
def _(machine: Machine) -> list[Finding]:
    machine.stage.daemon.socket_path.chmod(0o666)
    return machine.examine()


@planted("a daemon of another version", "daemon.version", "restart")
def _(machine: Machine) -> list[Finding]:
    machine.patch.setattr(daemon_checks, "__version__", "99.0")
    return machine.examine()


@planted("a classifier whose model is not there", "classifier", "bonsai.model_path")
def _(machine: Machine) -> list[Finding]:
    config = {"bonsai": {"model_path": "/nowhere/bonsai.gguf"}, "decision": {"classifier": True}}
    with machine.daemon(config={**config, "llama_swap": {"fallback_model": "qwen-coder"}}):
        return machine.examine()


@planted("no llama-swap", "llama-swap", "systemctl start llama-swap")
def _(machine: Machine) -> list[Finding]:
    with machine.daemon(llama_swap=NOBODY):
        return machine.examine()


@planted("llama-swap at the other usual port", "llama-swap.port", "llama_swap.base_url: ")
def _(machine: Machine) -> list[Finding]:
    here = (f"{machine.stage.llama_swap.url}/v1",)
    backend = llama_swap.LLAMA_SWAP
    machine.patch.setattr(llama_swap, "LLAMA_SWAP", replace(backend, usual=here))
    with machine.daemon(llama_swap=NOBODY):
        return machine.examine()


@planted("a llama-swap that wants a key", "llama-swap.key", "llama_swap.api_key_env")
def _(machine: Machine) -> list[Finding]:
    with SimLlamaSwap("--api-key", "sk-swap") as swap, machine.daemon(llama_swap=f"{swap.url}/v1"):
        return machine.examine()


@planted("a wrong key for llama-swap", "llama-swap.key", "export SWAP_KEY=")
def _(machine: Machine) -> list[Finding]:
    machine.env["SWAP_KEY"] = "sk-wrong"
    config = {"llama_swap": {"api_key_env": "SWAP_KEY"}}
    with (
        SimLlamaSwap("--api-key", "sk-swap") as swap,
        machine.daemon(llama_swap=f"{swap.url}/v1", config=config),
    ):
        return machine.examine()


@planted("a fallback model that llama-swap lacks", "llama-swap.fallback", "one of: qwen-coder")
def _(machine: Machine) -> list[Finding]:
    with machine.daemon(config={"llama_swap": {"fallback_model": "gone"}}):
        return machine.examine()


@planted("a llama-swap without models", "llama-swap.models", "config.yaml")
def _(machine: Machine) -> list[Finding]:
    with SimLlamaSwap(models=[]) as swap, machine.daemon(llama_swap=f"{swap.url}/v1"):
        return machine.examine()


@planted("a local model of unknown window", "llama-swap.window", "context_tokens")
def _(machine: Machine) -> list[Finding]:
    with SimLlamaSwap(models=[{"id": "qwen-coder"}]) as swap, machine.daemon(llama_swap=f"{swap.url}/v1"):
        return machine.examine()


@planted("no Manifest", "manifest", "docker compose up")
def _(machine: Machine) -> list[Finding]:
    with machine.daemon(manifest=NOBODY):
        return machine.examine()


@planted("Manifest at the other usual port", "manifest.port", "manifest.base_url: ")
def _(machine: Machine) -> list[Finding]:
    here = (f"{machine.stage.manifest.url}/v1",)
    machine.patch.setattr(manifest, "MANIFEST", replace(manifest.MANIFEST, usual=here))
    with machine.daemon(manifest=NOBODY):
        return machine.examine()


@planted("a Manifest that is not set up yet", "manifest.setup", "in a browser")
def _(machine: Machine) -> list[Finding]:
    machine.stage.manifest.script({"needs_setup": True})
    return machine.examine()


@planted("no key for Manifest", "manifest.key", "export MANIFEST_API_KEY=mnfst_")
def _(machine: Machine) -> list[Finding]:
    del machine.env["MANIFEST_API_KEY"]
    with machine.daemon(key=""):
        return machine.examine()


@planted("the installer's placeholder as the key", "manifest.key", "export MANIFEST_API_KEY=mnfst_")
def _(machine: Machine) -> list[Finding]:
    machine.env["MANIFEST_API_KEY"] = "mnfst_REPLACE_WITH_YOUR_KEY"
    with machine.daemon(key="mnfst_REPLACE_WITH_YOUR_KEY"):
        return machine.examine()


@planted("a key that Manifest refuses", "manifest.key", "make a new key")
def _(machine: Machine) -> list[Finding]:
    machine.env["MANIFEST_API_KEY"] = "mnfst_of_yesterday"
    return machine.examine()


@planted("a key of something else", "manifest.key", "Create key")
def _(machine: Machine) -> list[Finding]:
    machine.env["MANIFEST_API_KEY"] = "sk-ant-something"
    return machine.examine()


@planted("a key that the daemon was not started with", "manifest.key", "restart the daemon")
def _(machine: Machine) -> list[Finding]:
    with machine.daemon(key=""):
        return machine.examine()


@planted("requests that fail", "request.messages", "routing-events")
def _(machine: Machine) -> list[Finding]:
    with machine.daemon():
        for sim in (machine.stage.manifest, machine.stage.llama_swap):
            sim.script(scripts.status(500))
        return machine.examine()


@planted("a side that is left out after failures", "breaker", "closes by itself")
def _(machine: Machine) -> list[Finding]:
    with machine.daemon() as daemon:
        machine.stage.manifest.script(scripts.status(500))
        for _ in range(4):
            daemon.chat("cloud")
        return machine.examine()


@planted("a proxy that would be asked for the daemon", "proxy", "NO_PROXY=127.0.0.1")
def _(machine: Machine) -> list[Finding]:
    machine.env["HTTP_PROXY"] = "http://proxy.example:3128"
    return machine.examine()


@planted("no git", "git", "git")
def _(machine: Machine) -> list[Finding]:
    machine.env["PATH"] = str(machine.home / "bin")
    return machine.examine()


@planted("a harness set up for another port", "harness.codex", "brainrouter install codex")
def _(machine: Machine) -> list[Finding]:
    machine.set_up("codex")
    file = machine.home / ".codex/config.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(str(machine.stage.daemon.port), "9199"), encoding="utf-8")
    return machine.examine()


@planted("the protocol that Codex no longer speaks", "harness.codex", "brainrouter install codex")
def _(machine: Machine) -> list[Finding]:
    machine.set_up("codex")
    file = machine.home / ".codex/config.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('wire_api = "responses"', 'wire_api = "chat"'), encoding="utf-8")
    return machine.examine()


@planted("a server without the transport that Vibe insists on", "harness.vibe", "brainrouter install vibe")
def _(machine: Machine) -> list[Finding]:
    machine.set_up("vibe")
    file = machine.home / ".vibe/config.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('transport = "stdio"\n', ""), encoding="utf-8")
    return machine.examine()


@planted("a broken file of a harness", "harness.claude", "mend that file")
def _(machine: Machine) -> list[Finding]:
    machine.set_up("claude")
    (machine.home / ".claude/settings.json").write_text('{"env": {', encoding="utf-8")
    return machine.examine()


@planted("a harness whose program is gone", "harness.codex.program", "brainrouter uninstall codex")
def _(machine: Machine) -> list[Finding]:
    machine.set_up("codex")
    (machine.home / "bin/codex").unlink()
    return machine.examine()


@planted("a review server that cannot be run", "harness.codex.mcp", "brainrouter install codex")
def _(machine: Machine) -> list[Finding]:
    machine.command = str(machine.home / "gone/brainrouter")
    machine.set_up("codex")
    return machine.examine()


@planted(
    "a variable that goes before Claude Code's settings",
    "harness.claude.override",
    "unset ANTHROPIC_BASE_URL",
)
def _(machine: Machine) -> list[Finding]:
    machine.set_up("claude")
    machine.env["ANTHROPIC_BASE_URL"] = "https://api.example"
    return machine.examine()


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_fault_is_found_with_its_mend(what: str, machine: Machine):
    plant, check, mend = PLANTED[what]
    found = [finding for finding in plant(machine) if finding.check == check]
    assert [finding.level for finding in found] == ["fault"]
    assert mend in found[0].mend
    assert SimManifest.key not in str(found)


def _doctor(machine: Machine, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "brainrouter", "doctor", "--socket", str(machine.socket), *arguments]
    return subprocess.run(command, env=machine.env, capture_output=True, text=True, timeout=60, check=False)


def test_the_exit_code_and_the_json_are_for_scripts(machine: Machine):
    config = ("--config", str(machine.config))
    good = _doctor(machine, "--json", *config)
    assert (good.returncode, json.loads(good.stdout)["ok"]) == (0, True), good.stderr
    del machine.env["MANIFEST_API_KEY"]
    machine.env["HTTP_PROXY"] = "http://proxy.example:3128"
    bad = _doctor(machine, "--json", *config)
    answer = json.loads(bad.stdout)
    assert (bad.returncode, answer["ok"]) == (1, False)
    assert [row["check"] for row in answer["findings"] if row["level"] == "fault"] == ["proxy"]
    shown = _doctor(machine, *config)
    assert shown.returncode == 1
    assert "export NO_PROXY=127.0.0.1,localhost" in shown.stdout
    assert "1 thing is wrong" in shown.stdout
