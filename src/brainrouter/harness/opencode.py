"""OpenCode: a provider, the two models and the MCP server, in one JSON file with comments."""

from __future__ import annotations

import json
from typing import Any

from brainrouter.harness.document import Document
from brainrouter.harness.edit import Put
from brainrouter.harness.target import MCP_CALL_S, MODELS, Env, Harness, Runs, Target, folder, known

SCHEMA = "https://opencode.ai/config.json"
FILES = ("opencode.jsonc", "opencode.json", "config.json")


def _folder(env: Env) -> str:
    return folder({**env, "XDG": _config_home(env)}, "XDG", ".config", "opencode")


def _config_home(env: Env) -> str:
    base = env.get("XDG_CONFIG_HOME", "")
    return f"{base}/opencode" if base.startswith("/") else ""


def settings(target: Target) -> dict[str, Any]:
    """Our part of the configuration, as one object."""
    models = {
        model: {
            "name": f"brainrouter ({model})",
            **({"limit": {"context": window, "output": target.output(model)}} if window else {}),
        }
        for model, window in ((model, target.window(model)) for model in MODELS)
    }
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "brainrouter",
        "options": {"baseURL": target.v1},
        "models": models,
    }
    server = {
        "type": "local",
        "command": [target.command, *target.mcp_args],
        "enabled": True,
        **known(timeout=MCP_CALL_S * 1000),
    }
    return {
        "model": "brainrouter/auto",
        "small_model": "brainrouter/local",
        "provider": {"brainrouter": provider},
        "mcp": {"brainrouter": server},
    }


def _documents(target: Target, env: Env) -> list[Document]:
    ours = settings(target)
    edits = (
        Put(("$schema",), SCHEMA),  # OpenCode would write it into the file at its next start
        Put(("model",), ours["model"]),
        Put(("small_model",), ours["small_model"]),
        Put(("provider", "brainrouter"), ours["provider"]["brainrouter"], owned=True),
        Put(("mcp", "brainrouter"), ours["mcp"]["brainrouter"], owned=True),
    )
    return [Document(f"{_folder(env)}/opencode.json", "json", edits, first_of=FILES)]


def _variables(target: Target) -> dict[str, str]:
    return {"OPENCODE_CONFIG_CONTENT": json.dumps(settings(target))}


OPENCODE = Harness(
    name="opencode",
    title="OpenCode",
    program="opencode",
    folder=_folder,
    documents=_documents,
    instructions="AGENTS.md",
    runs=Runs(_variables),
    review_tool="brainrouter_request_review",
    hint='opencode run "Say hello"',
)
