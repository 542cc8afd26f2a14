"""The peers that install from a package index, in front of the bench upstream with their production settings.

Each goes into a folder of the cache that its version names, once; nothing of them comes into this repository.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Generator
from pathlib import Path

from bench import processes
from bench.processes import Target
from tests.clients.install import CACHE, Shelf, ensure, version

# With newer versions of what Portkey stands on, its streams answer 500.
SHELF = Shelf(
    CACHE.with_name("peers"),
    {
        "litellm": {"pypi": "litellm[proxy]==1.106.2", "python": "3.11"},
        "portkey": {
            "npm": "@portkey-ai/gateway@1.15.2",
            "overrides": "hono@4.9.7 @hono/node-server@1.3.3",
        },
        "claude-code-router": {"npm": "@musistudio/claude-code-router@2.0.0"},
        "plots": {"pypi": "matplotlib==3.10.8", "python": "3.11"},
    },
)
START_S = 90.0


def titled(name: str) -> str:
    """A peer's name with its version."""
    return f"{name} {version(name, SHELF)}"


@contextlib.contextmanager
def litellm(upstream_port: int) -> Generator[Target]:
    """One worker, no database, one model that takes every name."""
    program = ensure("litellm", SHELF) / "venv/bin/litellm"
    model = {
        "model_name": "*",
        "litellm_params": {
            "model": "openai/*",
            "api_base": f"http://127.0.0.1:{upstream_port}/v1",
            "api_key": "sk-upstream",
        },
    }
    settings = {"model_list": [model], "general_settings": {"master_key": processes.CLIENT_KEY}}
    environment = {
        "LITELLM_LOG": "ERROR",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        # Else /v1/messages is said in OpenAI's responses, which no other peer does.
        "LITELLM_USE_CHAT_COMPLETIONS_URL_FOR_ANTHROPIC_MESSAGES": "true",
    }
    port = processes.free_port()
    with _home() as folder:
        config = Path(folder, "litellm.yaml")
        config.write_text(json.dumps(settings), encoding="utf-8")
        command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        with processes.started("litellm", command, port, environment | {"HOME": folder}, START_S) as target:
            yield target


@contextlib.contextmanager
def portkey(upstream_port: int) -> Generator[Target]:
    """Its gateway without the console; where to go is said in each request's headers."""
    place = ensure("portkey", SHELF) / "node_modules/@portkey-ai/gateway/build/start-server.js"
    port = processes.free_port()
    headers = (
        ("x-portkey-provider", "openai"),
        ("x-portkey-custom-host", f"http://127.0.0.1:{upstream_port}/v1"),
    )
    command = ["node", str(place), f"--port={port}", "--headless"]
    environment = {"NODE_ENV": "production"}
    with processes.started("portkey", command, port, environment, START_S, headers) as target:
        yield target


@contextlib.contextmanager
def claude_code_router(upstream_port: int) -> Generator[Target]:
    """Speaks `/v1/messages` only, and says it in chat completions to the upstream."""
    program = ensure("claude-code-router", SHELF) / "node_modules/.bin/ccr"
    port = processes.free_port()
    provider = {
        "name": "bench",
        "api_base_url": f"http://127.0.0.1:{upstream_port}/v1/chat/completions",
        "api_key": "sk-upstream",
        "models": ["bench"],
    }
    settings = {
        "LOG": False,
        "PORT": port,
        "NON_INTERACTIVE_MODE": True,
        "Providers": [provider],
        "Router": {"default": "bench,bench"},
    }
    with _home() as folder:
        config = Path(folder, ".claude-code-router", "config.json")
        config.parent.mkdir()
        config.write_text(json.dumps(settings), encoding="utf-8")
        environment = {"HOME": folder, "NODE_ENV": "production"}
        with processes.started(
            "claude-code-router", [str(program), "start"], port, environment, START_S, protocol="messages"
        ) as target:
            yield target


@contextlib.contextmanager
def _home() -> Generator[str]:
    """A folder for what a peer writes, removed even when it still writes."""
    with tempfile.TemporaryDirectory(prefix="brainrouter-bench-", ignore_cleanup_errors=True) as folder:
        yield folder


def plotting_python() -> Path:
    """A Python with matplotlib, which nothing else here needs."""
    return ensure("plots", SHELF) / "venv/bin/python"


PEERS = {"litellm": litellm, "portkey": portkey, "claude-code-router": claude_code_router}
ORIGIN = {
    "litellm": "PyPI `litellm[proxy]`",
    "portkey": "npm `@portkey-ai/gateway`",
    "claude-code-router": "npm `@musistudio/claude-code-router`",
}
