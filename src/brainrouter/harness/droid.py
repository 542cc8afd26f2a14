"""Factory Droid: custom models in settings.json, the MCP server in mcp.json."""

from __future__ import annotations

from brainrouter.harness.document import Document
from brainrouter.harness.edit import Item, Put
from brainrouter.harness.target import (
    MODELS,
    OUTPUT_MAX,
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
    return folder({**env, "FACTORY": _home(env)}, "FACTORY", ".factory")


def _home(env: Env) -> str:
    home = env.get("FACTORY_HOME_OVERRIDE", "")
    return f"{home}/.factory" if home.startswith("/") else ""


def _documents(target: Target, env: Env) -> list[Document]:
    place = _folder(env)
    models = [
        {
            "model": model,
            "displayName": f"brainrouter ({model})",
            "baseUrl": target.v1,
            "apiKey": "none",
            "provider": "generic-chat-completion-api",
            "maxOutputTokens": target.output(model) or OUTPUT_MAX,
            **known(maxContextLimit=target.window(model)),
        }
        for model in MODELS
    ]
    edits = (
        *(Item(("customModels",), ("displayName",), model) for model in models),
        Put(("sessionDefaultSettings", "model"), "custom:auto"),
    )
    server = Put(("mcpServers", "brainrouter"), stdio_server(target), owned=True)
    return [
        Document(f"{place}/settings.json", "json", edits),
        Document(f"{place}/mcp.json", "json", (server,)),
    ]


DROID = Harness(
    name="droid",
    title="Factory Droid",
    program="droid",
    folder=_folder,
    documents=_documents,
    instructions="AGENTS.md",
    runs=Runs(nothing, variable="FACTORY_HOME_OVERRIDE", below=".factory"),
    review_tool="brainrouter___request_review",
    hint='droid exec -m custom:auto "Say hello"',
)
