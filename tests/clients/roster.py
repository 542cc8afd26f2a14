"""The seven clients: how each is started without a screen, and the tool call that makes it write a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.clients import install

WRITE = "printf 'Hello from %s\\n' brainrouter > hello.txt"
WRITTEN = "Hello from brainrouter\n"
PROMPT = "Create a file hello.txt with a greeting"


@dataclass(frozen=True)
class Client:
    """One harness. `argv` is given the model (None: the one that `install` set) and the prompt."""

    name: str
    title: str
    program: Callable[[Path], list[str]]
    argv: Callable[[str | None, str], list[str]]
    tool: str
    arguments: dict[str, Any]
    # A rarely used tool that waits at level 2, and a call of it that does no harm.
    waiting: tuple[str, dict[str, Any]]
    env: dict[str, str] = field(default_factory=dict[str, str])
    needs: tuple[str, ...] = ()
    model_env: str = ""
    protocol: str = "chat"
    review_tool: str = "request_review"
    # How the model looks for tools that come late and are not listed, and how long it thinks before.
    search: tuple[str, dict[str, Any]] | None = None
    patience_s: float = 0.0

    def command(self, model: str | None, prompt: str) -> list[str]:
        """The whole command line. Raises NotInstallable."""
        return [*self.program(install.ensure(self.name)), *self.argv(model, prompt)]


def _bin(name: str) -> Callable[[Path], list[str]]:
    return lambda place: [str(place / "node_modules/.bin" / name)]


def _node_bundle(place: Path) -> list[str]:
    node = install.ensure("node") / "node_modules/.bin/node"
    return [str(node), str(place / "package/dist/bundle/cli.js")]


def _option(flag: str, model: str | None, form: str = "{}") -> list[str]:
    return [] if model is None else [flag, form.format(model)]


SHELL = {"command": WRITE}
CLIENTS = [
    Client(
        "claude", "Claude Code", _bin("claude"),
        lambda model, prompt: ["-p", prompt, "--permission-mode", "bypassPermissions", *_option("--model", model)],
        "Bash", {**SHELL, "description": "write the greeting"}, ("Skill", {"skill": "none"}),
        {"IS_SANDBOX": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"},
        protocol="messages",
        review_tool="mcp__brainrouter__request_review",
    ),
    Client(
        "codex", "Codex", _bin("codex"),
        lambda model, prompt: [
            "exec", "--skip-git-repo-check", "--sandbox", "danger-full-access", *_option("-m", model), prompt
        ],
        "exec_command", {"cmd": WRITE}, ("get_goal", {}), protocol="responses",
        review_tool="mcp__brainrouter",
    ),
    Client(
        "opencode", "OpenCode", _bin("opencode"),
        lambda model, prompt: ["run", *_option("-m", model, "brainrouter/{}"), prompt],
        "bash", {**SHELL, "description": "write the greeting"}, ("todowrite", {"todos": []}),
        review_tool="brainrouter_request_review",
    ),
    Client(
        "vibe", "Mistral Vibe", lambda place: [str(place / "venv/bin/vibe")],
        lambda model, prompt: ["-p", prompt, "--auto-approve"],
        "bash", SHELL, ("todo", {"action": "read"}), model_env="VIBE_ACTIVE_MODEL",
        review_tool="mcp_brainrouter",
    ),
    Client(
        "omp", "omp", _bin("omp"),
        lambda model, prompt: ["-p", *_option("--model", model, "brainrouter/{}"), prompt],
        "bash", SHELL, ("todo", {"i": "Looking", "op": "view"}), needs=("bun",),
        review_tool="mcp__brainrouter_request_review",
    ),
    Client(
        "pi", "pi", _node_bundle,
        lambda model, prompt: ["-p", *([] if model is None else ["--provider", "brainrouter", "--model", model]), prompt],
        "bash", SHELL, ("mcp__brainrouter__get_session_list", {}), {"PI_SKIP_VERSION_CHECK": "1", "PI_TELEMETRY": "0"}, needs=("node",),
        review_tool="mcp__brainrouter__request_review",
    ),
    Client(
        "droid", "Factory Droid", _bin("droid"),
        lambda model, prompt: ["exec", "--auto", "high", "--add-tools", "MCP:brainrouter", *_option("-m", model, "custom:{}"), prompt],
        "Execute", {**SHELL, "riskLevel": "low", "riskLevelReason": "writes one file", "summary": "write the greeting"}, ("Skill", {"skill": "none"}),
        {"FACTORY_DROID_AUTO_UPDATE_ENABLED": "false"}, search=("ToolSearch", {"query": "review"}), patience_s=8.0,
        review_tool="brainrouter___request_review",
    ),
]  # fmt: skip
