"""pi: models.json, settings.json and mcp.json in its agent folder."""

from __future__ import annotations

from brainrouter.harness.document import Document
from brainrouter.harness.edit import Put
from brainrouter.harness.target import (
    MCP_CALL_S,
    MODELS,
    Env,
    Harness,
    Runs,
    Target,
    folder,
    known,
    nothing,
    stdio_server,
)  # fmt: skip


def _folder(env: Env) -> str:
    return folder(env, "PI_CODING_AGENT_DIR", ".pi", "agent")


def _documents(target: Target, env: Env) -> list[Document]:
    place = _folder(env)
    models = [
        {
            "id": model,
            "name": f"brainrouter ({model})",
            **known(contextWindow=target.window(model), maxTokens=target.output(model)),
        }
        for model in MODELS
    ]
    provider = {
        "baseUrl": target.v1,
        "api": "openai-completions",
        "apiKey": "none",
        # pi sends its session only when told to; without it, turns cannot be kept together.
        "compat": {"sendSessionAffinityHeaders": True},
        "models": models,
    }
    server = stdio_server(target, timeout=MCP_CALL_S, typed=False, exposure="direct")
    return [
        Document(f"{place}/models.json", "json", (Put(("providers", "brainrouter"), provider, owned=True),)),
        Document(
            f"{place}/settings.json",
            "json",
            (Put(("defaultProvider",), "brainrouter"), Put(("defaultModel",), "auto")),
        ),
        Document(f"{place}/mcp.json", "json", (Put(("mcpServers", "brainrouter"), server, owned=True),)),
    ]


PI = Harness(
    name="pi",
    title="pi",
    program="pi",
    folder=_folder,
    documents=_documents,
    instructions="AGENTS.md",
    runs=Runs(nothing, variable="PI_CODING_AGENT_DIR"),
    review_tool="mcp__brainrouter__request_review",
    hint='pi -p "Say hello"',
)
