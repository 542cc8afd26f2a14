"""Tools of a harness, some of them rarely used, for the tests of what waits."""

from __future__ import annotations

from typing import Any

from brainrouter.policy.lean.deferral import Deferral, deferral

MANUAL = "It says at length what this tool is for, when to reach for it and what comes back from it. " * 6


def tool(name: str, words: str, /, required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"type": "function", "function": {"name": name, "description": words, "parameters": schema}}


TEXT = {"type": "string"}
EVERYDAY = [
    tool("Bash", "Runs a command.", ("command",), command=TEXT),
    tool("Read", "Shows a file.", ("file_path",), file_path=TEXT, offset={"type": "integer"}),
    tool("Edit", "Replaces text.", ("file_path", "old_string"), file_path=TEXT, old_string=TEXT),
    tool("Write", "Makes a file.", ("file_path", "content"), file_path=TEXT, content=TEXT),
]
RARE = [
    tool("WebFetch", f"Fetches a page from the web. {MANUAL}", ("url",), url=TEXT, prompt=TEXT),
    tool("CronCreate", f"Plans work for later. {MANUAL}", ("cron", "prompt"), cron=TEXT, prompt=TEXT),
    tool("NotebookEdit", f"Changes a cell of a notebook. {MANUAL}", ("cell",), cell=TEXT),
    tool("mcp__desk__send_mail", f"Sends a letter to somebody. {MANUAL}", ("to",), to=TEXT, body=TEXT),
    tool("Monitor", f"Watches a process. {MANUAL}", ("pid",), pid={"type": "integer"}),
    tool(
        "Workflow",
        f"Runs several steps in a row. {MANUAL}",
        ("steps",),
        steps={"type": "array", "items": TEXT},
    ),
    tool("ListAgents", f"Shows the other agents. {MANUAL}"),
]
TOOLS = [*EVERYDAY, *RARE]


def made(tools: list[dict[str, Any]] = TOOLS) -> Deferral:
    """What becomes of `tools`, some of which must wait."""
    found = deferral(tools)
    assert found is not None
    return found
