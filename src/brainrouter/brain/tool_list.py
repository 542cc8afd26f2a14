"""The tools that a request offers, as far as the decision reads them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec
from msgspec import Raw

from brainrouter.brain.shape import Tool
from brainrouter.wire.ask import Ask
from brainrouter.wire.json_body import LIST, OBJECT, opening

# What coding harnesses always offer says nothing of one request: a set that holds some of these is an agent's own.
_AGENT_TOOLS = frozenset((
    "read", "edit", "write", "bash", "grep", "glob", "task", "todowrite", "webfetch", "websearch", "multiedit",
    "notebookedit", "agent", "shell", "apply_patch", "exec", "exec_command", "update_plan", "view_image",
    "read_file", "write_file", "edit_file", "search_replace", "list_files", "execute", "ls", "toolsearch",
    "tool_search", "create", "applypatch", "todo_write", "grep_search", "run_shell_command", "list_directory",
    "ask", "write_stdin", "skill", "find", "search", "str_replace_editor", "run_typescript", "codemode",
    "glob_search", "exitplanmode", "eval",
))  # fmt: skip
_AGENT_SIGNS = 2
_MAX = 64


class _Function(msgspec.Struct):
    name: str = ""
    description: str | None = None
    parameters: Raw = Raw(b"null")


class _Listed(msgspec.Struct):
    name: str = ""
    description: str | None = None
    input_schema: Raw = Raw(b"null")
    parameters: Raw = Raw(b"null")
    params: Raw = Raw(b"null")
    function: _Function | None = None


class _Schema(msgspec.Struct):
    properties: dict[str, Raw] = {}


class _Named(msgspec.Struct):
    name: str = ""


class _NameOnly(msgspec.Struct):
    name: str = ""
    function: _Named | None = None


_NAMES = msgspec.json.Decoder(list[_NameOnly])
_LISTED = msgspec.json.Decoder(list[_Listed])
_SCHEMA = msgspec.json.Decoder(_Schema)
_ANY = msgspec.json.Decoder()


def tool_names(ask: Ask) -> tuple[str, ...]:
    """The names of the offered tools, in order; empty when there are none or they cannot be read."""
    return names_in(ask.body.get("tools"))


def names_in(raw: Raw | None) -> tuple[str, ...]:
    """The names in a `tools` field of any dialect."""
    if raw is None:
        return ()
    try:
        rows = _NAMES.decode(raw)
    except (ValueError, RecursionError):
        return ()
    return tuple(row.function.name if row.function else row.name for row in rows)


def is_agents_own(offered: Sequence[str]) -> bool:
    """Whether these tools are what a coding harness always brings, rather than what this one request is about."""
    return sum(name.lower() in _AGENT_TOOLS for name in offered) >= _AGENT_SIGNS


def telling_tools(raw: Raw | None) -> tuple[Tool, ...]:
    """The tools in a `tools` field of any dialect that say something of the request: none of a harness's own set."""
    if raw is None or is_agents_own(names_in(raw)):
        return ()
    try:
        rows = _LISTED.decode(raw)
    except (ValueError, RecursionError):
        return ()
    return tuple(map(_tool, rows[:_MAX]))


def _tool(row: _Listed) -> Tool:
    if row.function is not None:
        return Tool(row.function.name, row.function.description or "", _params(row.function.parameters))
    for raw in (row.params, row.input_schema, row.parameters):
        found = _params(raw)
        if found:
            return Tool(row.name, row.description or "", found)
    return Tool(row.name, row.description or "")


def _params(raw: Raw) -> tuple[str, ...]:
    """Parameter names: of a JSON schema, or as a plain list of names."""
    try:
        first = opening(raw)
        if first == OBJECT:
            return tuple(_SCHEMA.decode(raw).properties)
        if first == LIST:
            return tuple(item for item in cast("list[Any]", _ANY.decode(raw)) if isinstance(item, str))
    except (ValueError, RecursionError):
        pass
    return ()
