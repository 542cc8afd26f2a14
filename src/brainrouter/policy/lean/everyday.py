"""Which tools every turn of a coding agent needs: running, reading, editing, writing, searching. Pure.

Told by the names that the harnesses use; where none of a kind is called so, by what the tools take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from brainrouter.policy.lean.tools import Tool, parameters_of, tool_name

Kind = Literal["shell", "read", "edit", "write", "search", "list", "other"]


@dataclass(frozen=True, slots=True)
class _Sign:
    """`names` without namespace, in lower case; `takes`: groups of parameters, one of each of which tells."""

    names: frozenset[str]
    takes: tuple[frozenset[str], ...] = ()


def _sign(names: str, *takes: str) -> _Sign:
    return _Sign(frozenset(names.split()), tuple(frozenset(one.split()) for one in takes))


_SIGNS: dict[Kind, _Sign] = {
    "shell": _sign(
        "bash shell execute exec exec_command run_command run_shell_command run_terminal_cmd terminal",
        "command cmd",
    ),
    "read": _sign("read read_file readfile view view_file open_file", "offset limit", "path file_path filePath"),
    "edit": _sign(
        "edit edit_file search_replace str_replace str_replace_editor apply_patch applypatch",
        "old_string oldString old_str edits input patch",
    ),
    "write": _sign("write write_file writefile create create_file", "content", "file_path filePath path"),
    "search": _sign("grep glob find grep_search glob_search file_search", "pattern patterns"),
    "list": _sign("ls list_directory list_files"),
    "other": _sign("write_stdin wait"),
}  # fmt: skip


def of_kind(kind: Kind, tools: Sequence[Tool]) -> list[Tool]:
    """The tools of a kind in their order: those called so, else the first that takes what its kind takes."""
    sign = _SIGNS[kind]
    named = [tool for tool in tools if plain_name(tool) in sign.names]
    if named or not sign.takes:
        return named
    return [tool for tool in tools if all(group & takes(tool) for group in sign.takes)][:1]


def everyday(tools: Sequence[Tool]) -> set[str]:
    """The names of all that no turn should do without: a shell lists folders, too."""
    kinds: list[Kind] = [kind for kind in _SIGNS if kind != "list" or not of_kind("shell", tools)]
    return {tool_name(tool) for kind in kinds for tool in of_kind(kind, tools)}


def plain_name(tool: Tool) -> str:
    """A tool's name in lower case, without the namespace before it."""
    return tool_name(tool).rpartition("__")[2].lower()


def takes(tool: Tool) -> set[str]:
    """The names of a tool's parameters."""
    found = parameters_of(tool).get("properties")
    return set(found) if isinstance(found, dict) else set()  # pyright: ignore[reportUnknownArgumentType]
