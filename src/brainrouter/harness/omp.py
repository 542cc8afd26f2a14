"""omp (oh-my-pi): models.yml, config.yml and mcp.json in its agent folder."""

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
    return folder(env, "PI_CODING_AGENT_DIR", env.get("PI_CONFIG_DIR") or ".omp", "agent")


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
        "auth": "none",
        # The only session identity that omp sends; without it, turns cannot be kept together.
        "compat": {"supportsPromptCacheKey": True},
        "models": models,
    }
    server = stdio_server(target, timeout=MCP_CALL_S * 1000)
    return [
        Document(f"{place}/models.yml", "yaml", (Put(("providers", "brainrouter"), provider, owned=True),)),
        Document(
            f"{place}/config.yml",
            "yaml",
            (
                Put(("modelRoles", "default"), "brainrouter/auto"),
                Put(("modelRoles", "smol"), "brainrouter/local"),
            ),
        ),
        Document(f"{place}/mcp.json", "json", (Put(("mcpServers", "brainrouter"), server, owned=True),)),
    ]


OMP = Harness(
    name="omp",
    title="omp",
    program="omp",
    folder=_folder,
    documents=_documents,
    instructions="AGENTS.md",
    runs=Runs(nothing, variable="PI_CODING_AGENT_DIR"),
    review_tool="mcp__brainrouter_request_review",
    hint='omp -p "Say hello"',
)
