"""Mistral Vibe: a provider, three models and the MCP server, in config.toml."""

from __future__ import annotations

from brainrouter.harness.document import Document
from brainrouter.harness.edit import Item, Put
from brainrouter.harness.target import (
    MCP_CALL_S,
    MCP_START_S,
    MODELS,
    Env,
    Harness,
    Runs,
    Target,
    folder,
    known,
    nothing,
)  # fmt: skip


def _folder(env: Env) -> str:
    return folder(env, "VIBE_HOME", ".vibe")


def _documents(target: Target, env: Env) -> list[Document]:
    provider = {"name": "brainrouter", "api_base": target.v1, "api_style": "openai", "backend": "generic"}
    models = [
        {
            "name": model,
            "provider": "brainrouter",
            "alias": f"brainrouter-{model}",
            **known(max_context_length=target.window(model)),
        }
        for model in MODELS
    ]
    server = {
        "name": "brainrouter",
        "transport": "stdio",
        "command": target.command,
        "args": target.mcp_args,
        "startup_timeout_sec": MCP_START_S,
        "tool_timeout_sec": MCP_CALL_S,
    }
    edits = (
        Put(("active_model",), "brainrouter-auto"),
        Item(("providers",), ("name",), provider),
        *(Item(("models",), ("name", "provider"), model) for model in models),
        Item(("mcp_servers",), ("name",), server),
    )
    return [Document(f"{_folder(env)}/config.toml", "toml", edits)]


VIBE = Harness(
    name="vibe",
    title="Mistral Vibe",
    program="vibe",
    folder=_folder,
    documents=_documents,
    instructions="AGENTS.md",
    runs=Runs(nothing, variable="VIBE_HOME"),
    review_tool="tools.mcp_brainrouter.request_review",
    hint='vibe -p "Say hello"',
)
