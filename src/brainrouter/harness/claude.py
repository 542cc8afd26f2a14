"""Claude Code: variables in settings.json (or the shell), the MCP server in .claude.json."""

from __future__ import annotations

from brainrouter.harness.document import Document
from brainrouter.harness.edit import Put
from brainrouter.harness.target import MCP_CALL_S, Env, Harness, Runs, Target, folder, stdio_server


def variables(target: Target) -> dict[str, str]:
    """What Claude Code reads from its environment.

    The attribution header and the token reminder change with every request and would spoil the prompt cache. Without a
    window it takes a model it does not know for one of a million tokens and compacts far too late.
    """
    window = target.auto_window
    return {
        "ANTHROPIC_BASE_URL": target.base_url,
        "ANTHROPIC_AUTH_TOKEN": "brainrouter",
        "ANTHROPIC_MODEL": "auto",
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": "local",
        "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
        "CLAUDE_CODE_TOTAL_TOKENS_REMINDER": "off",
        **({"CLAUDE_CODE_MAX_CONTEXT_TOKENS": str(window)} if window else {}),
        **({"CLAUDE_CODE_AUTO_COMPACT_WINDOW": str(window)} if window else {}),
    }


def _folder(env: Env) -> str:
    return folder(env, "CLAUDE_CONFIG_DIR", ".claude")


def server_document(target: Target, env: Env) -> Document:
    """The file that holds the user's MCP servers."""
    # Four small tools that are needed at the end of every task: not worth a search that a small model would not make.
    server = stdio_server(target, timeout=MCP_CALL_S * 1000, alwaysLoad=True)
    place = folder(env, "CLAUDE_CONFIG_DIR")
    return Document(
        f"{place}/.claude.json", "json", (Put(("mcpServers", "brainrouter"), server, owned=True),)
    )


def _documents(target: Target, env: Env) -> list[Document]:
    edits = tuple(Put(("env", name), value) for name, value in variables(target).items())
    return [Document(f"{_folder(env)}/settings.json", "json", edits), server_document(target, env)]


CLAUDE = Harness(
    name="claude",
    title="Claude Code",
    program="claude",
    folder=_folder,
    documents=_documents,
    instructions="CLAUDE.md",
    runs=Runs(variables),
    review_tool="mcp__brainrouter__request_review",
    hint='claude -p "Say hello"',
)
