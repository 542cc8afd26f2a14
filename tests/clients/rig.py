"""A real client with a scratch home, before the real daemon and the fakes."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.clients import install
from tests.clients.roster import PROMPT, Client
from tests.daemon import ROOT, Daemon, Stage
from tests.sim import scripts
from tests.sim.handle import SimLlamaSwap, SimProcess

BRAINROUTER = Path(sys.executable).with_name("brainrouter")
CLIENT_S = 240.0
NOWHERE = "http://127.0.0.1:9"  # what would go out is refused at once
WINDOW = 131_072
MODELS = [{"id": "qwen-coder", "context": WINDOW, "tools": True, "aliases": ["coder"]}]


def stage(**local: Any) -> Stage:
    """The daemon between both fakes, with a local model whose window holds every client's first request."""
    made = Stage(llama_swap={"fallback_model": "qwen-coder", **local})
    made.llama_swap = SimLlamaSwap(models=MODELS)
    return made


class Up(Daemon):
    """`brainrouter up`: nothing is configured, so the embedded model answers."""

    def spawn(self) -> Self:
        """Start the process, and wait for nothing."""
        command = [str(BRAINROUTER), "up", "--socket", str(self.socket_path), "--tcp-addr", "127.0.0.1:0"]
        with self.log_file.open("ab") as log:
            self.child = subprocess.Popen(
                command, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT
            )
        return self


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
            "XDG_RUNTIME_DIR": str(daemon.run_dir), "SHELL": "/bin/bash", "TERM": "dumb", "LANG": "C.UTF-8",
            "HTTPS_PROXY": NOWHERE, "https_proxy": NOWHERE, "NO_PROXY": "127.0.0.1,localhost", "CI": "true",
        }  # fmt: skip

    def brainrouter(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command of ours, as this user."""
        return self._run([str(BRAINROUTER), *arguments])

    def client(
        self, client: Client, model: str | None, prompt: str = PROMPT
    ) -> subprocess.CompletedProcess[str]:
        """One headless run of the client in the project."""
        extra = {client.model_env: f"brainrouter-{model}"} if client.model_env and model else {}
        return self._run(client.command(model, prompt), {**client.env, **extra})

    def run_once(self, client: Client) -> subprocess.CompletedProcess[str]:
        """One run by `brainrouter run`, which finds the client on the PATH."""
        folder = self.path.parent / "bin"
        folder.mkdir()
        program = shlex.join(client.program(install.folder(client.name)))
        wrapper = folder / client.name
        wrapper.write_text(f'#!/bin/sh\nexec {program} "$@"\n', encoding="utf-8")
        wrapper.chmod(0o755)
        self.env["PATH"] = f"{folder}{os.pathsep}{self.env['PATH']}"
        return self._run([str(BRAINROUTER), "run", client.name, *client.argv(None, PROMPT)], client.env)

    def _run(
        self, command: list[str], extra: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
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
    offered = {"match": {"contains": f'"{client.tool}"'}}
    if client.search:
        side.queue({**scripts.calls(client.search, latency_s=client.patience_s), **offered})
    side.queue({**scripts.calls((client.tool, client.arguments), text="I will write it."), **offered})
    side.script(scripts.answer("The greeting is in hello.txt."))


def files_of(home: Path) -> dict[str, bytes]:
    """Every file below a home, but for the project and what programs cache."""
    skipped = ("project", ".cache", ".npm", ".bun")
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.relative_to(home).parts[0] not in skipped
    }
