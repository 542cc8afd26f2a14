"""Codex: a provider that speaks the Responses API, and the MCP server, in config.toml."""

from __future__ import annotations

from brainrouter.harness.document import Document
from brainrouter.harness.edit import Put
from brainrouter.harness.target import MCP_CALL_S, MCP_START_S, Env, Harness, Runs, Target, folder, nothing


def _folder(env: Env) -> str:
    return folder(env, "CODEX_HOME", ".codex")


def _documents(target: Target, env: Env) -> list[Document]:
    provider = {"name": "brainrouter", "base_url": target.v1, "wire_api": "responses"}
    # Not `required`, a short run would begin without the tools of a server that is still starting.
    server = {
        "command": target.command,
        "args": target.mcp_args,
        "required": True,
        "startup_timeout_sec": MCP_START_S,
        "tool_timeout_sec": MCP_CALL_S,
    }
    window = [Put(("model_context_window",), target.auto_window)] if target.auto_window else []
    edits = (
        Put(("model",), "auto"),
        Put(("model_provider",), "brainrouter"),
        *window,
        Put(("model_providers", "brainrouter"), provider, owned=True),
        Put(("mcp_servers", "brainrouter"), server, owned=True),
    )
    return [Document(f"{_folder(env)}/config.toml", "toml", edits)]


CODEX = Harness(
    name="codex",
    title="Codex",
    program="codex",
    folder=_folder,
    documents=_documents,
    instructions="AGENTS.md",
    runs=Runs(nothing, variable="CODEX_HOME"),
    review_tool="request_review of the server brainrouter",
    hint='codex exec "Say hello"',
)
