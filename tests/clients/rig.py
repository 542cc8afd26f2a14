"""The real daemon between the fakes and a real client with a scratch home."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.clients import install
from tests.clients.roster import PROMPT, Client
from tests.sim import scripts
from tests.sim.handle import SimLlamaSwap, SimManifest, SimProcess

BRAINROUTER = Path(sys.executable).with_name("brainrouter")
CLIENT_S = 180.0
START_S = 30.0
NOWHERE = "http://127.0.0.1:9"  # what would go out is refused at once
MODELS = [{"id": "qwen-coder", "context": 131072, "tools": True, "aliases": ["coder"]}]


@dataclass
class Daemon:
    """`brainrouter serve` or `up` as a child, in a home and a runtime folder of its own."""

    folder: Path
    arguments: list[str]
    env: dict[str, str]
    child: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "run" / "brainrouter.sock"

    def start(self) -> None:
        """Start and wait until it answers."""
        for name in ("home", "run"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        env = {"HOME": str(self.folder / "home"), "XDG_RUNTIME_DIR": str(self.folder / "run"), **self.env}
        command = [str(BRAINROUTER), *self.arguments, "--tcp-addr", "127.0.0.1:0", "--socket", str(self.socket)]
        log = (self.folder / "daemon.log").open("wb")
        with log:
            self.child = subprocess.Popen(
                command, env={"PATH": os.environ["PATH"], **env}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_for(self.health, START_S, f"the daemon did not start: see {log.name}")

    @property
    def port(self) -> int:
        return int(self.socket.with_suffix(".port").read_text(encoding="ascii"))

    def health(self) -> dict[str, Any] | None:
        """What /health says, or None while nobody answers."""
        try:
            return self.get("/health")
        except (OSError, ValueError):
            return None

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as reply:
            return json.load(reply)

    def stop(self) -> None:
        if self.child is not None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(20)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
            self.child = None


def wait_for(what: Any, timeout_s: float, or_else: str) -> Any:
    """Poll until `what()` is true; its value."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if value := what():
            return value
        time.sleep(0.05)
    raise TimeoutError(or_else)


@dataclass
class Between:
    """The fakes and the daemon between them and the clients."""

    daemon: Daemon
    manifest: SimManifest
    llama_swap: SimLlamaSwap

    def side(self, mode: str) -> SimProcess:
        """The fake that must answer in a mode."""
        return self.llama_swap if mode == "local" else self.manifest


def begin(folder: Path) -> Between:
    """Start both fakes and the daemon."""
    manifest, llama_swap = SimManifest().start(), SimLlamaSwap(models=MODELS).start()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "brainrouter.yaml"
    config.write_text(
        f"manifest:\n  base_url: {manifest.url}/v1\n"
        f"llama_swap:\n  base_url: {llama_swap.url}/v1\n  fallback_model: qwen-coder\n"
        "decision:\n  classifier: false\n",
        encoding="utf-8",
    )
    daemon = Daemon(folder, ["serve", "--config", str(config)], {"MANIFEST_API_KEY": SimManifest.key})
    daemon.start()
    wait_for(
        lambda: (health := daemon.health()) and health["local"]["state"] == "healthy",
        START_S,
        "the daemon does not see its llama-swap",
    )
    return Between(daemon, manifest, llama_swap)


def end(between: Between) -> None:
    """Stop the daemon and both fakes."""
    between.daemon.stop()
    between.manifest.kill()
    between.llama_swap.kill()


@dataclass
class Home:
    """A scratch home of a made-up user, with a project in it."""

    path: Path
    env: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def project(self) -> Path:
        return self.path / "project"

    def make(self, daemon: Daemon) -> None:
        self.project.mkdir(parents=True)
        git = ["git", "-c", "init.defaultBranch=main", "init", "-q", str(self.project)]
        subprocess.run(git, check=True, env={"HOME": str(self.path), "PATH": os.environ["PATH"]})
        bins = [str(install.folder(name) / "node_modules/.bin") for name in ("node", "bun")]
        self.env = {
            "HOME": str(self.path), "PATH": os.pathsep.join([*bins, str(BRAINROUTER.parent), os.environ["PATH"]]),
            "XDG_RUNTIME_DIR": str(daemon.socket.parent), "SHELL": "/bin/bash", "TERM": "dumb", "LANG": "C.UTF-8",
            "HTTPS_PROXY": NOWHERE, "https_proxy": NOWHERE, "NO_PROXY": "127.0.0.1,localhost", "CI": "true",
        }  # fmt: skip

    def brainrouter(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command of ours, as this user."""
        return self._run([str(BRAINROUTER), *arguments])

    def client(self, client: Client, model: str | None, prompt: str = PROMPT) -> subprocess.CompletedProcess[str]:
        """One headless run of the client in the project."""
        extra = {client.model_env: f"brainrouter-{model}"} if client.model_env and model else {}
        return self._run(client.command(model, prompt), {**client.env, **extra})

    def _run(self, command: list[str], extra: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        child = subprocess.Popen(
            command, cwd=self.project, env={**self.env, **(extra or {})}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            out, err = child.communicate(timeout=CLIENT_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, err = child.communicate()
            err += f"\nstill running after {CLIENT_S:g} s"
        return subprocess.CompletedProcess(command, child.returncode, out, err)


def script_tool_loop(side: SimProcess, client: Client) -> None:
    """The first request that offers the client's own tool is answered by a call of it; everything else by text."""
    side.reset()
    call = scripts.calls((client.tool, client.arguments), text="I will write it.")
    side.queue({**call, "match": {"contains": f'"{client.tool}"'}})
    side.script(scripts.answer("The greeting is in hello.txt."))


def files_of(home: Path) -> dict[str, bytes]:
    """Every file below a home, but for the project and what programs cache."""
    skipped = ("project", ".cache", ".npm", ".bun")
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.relative_to(home).parts[0] not in skipped
    }
