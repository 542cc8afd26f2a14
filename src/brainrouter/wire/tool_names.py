"""Tool names as chat completions take them, and the way back to what the caller calls them."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Literal

NAME_MAX_CHARS = 64
_ODD = re.compile(r"[^A-Za-z0-9_-]")
_HASH_CHARS = 9

ToolKind = Literal["function", "custom", "search"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as the caller knows it. `custom` takes free text in place of arguments; `search` finds other tools."""

    name: str
    namespace: str | None = None
    kind: ToolKind = "function"


class ToolNames:
    """The names of one request: the same tool always has the same name outward, and every name finds its tool.

    The name depends on the tool alone, so that a conversation reads the same to the model at every turn.
    """

    def __init__(self) -> None:
        self._tools: dict[str, Tool] = {}

    def outward(self, tool: Tool) -> str:
        """The name for the upstream. Two tools never share one."""
        name = flat_name(tool.namespace, tool.name)
        held = self._tools.setdefault(name, tool)
        if (held.name, held.namespace) != (tool.name, tool.namespace):
            name = _hashed(name, f"{tool.namespace}\n{tool.name}")
            self._tools[name] = tool
        return name

    def inward(self, name: str) -> Tool:
        """The caller's tool behind an upstream's name; a name that nobody offered stays as it is."""
        return self._tools.get(name) or Tool(name)


def flat_name(namespace: str | None, name: str) -> str:
    """Namespace and name in one, within what every provider takes as a function's name."""
    whole = f"{namespace}__{name}" if namespace else name
    plain = _ODD.sub("_", whole) or "tool"
    if plain == whole and len(whole) <= NAME_MAX_CHARS:
        return whole
    return _hashed(plain, whole)


def _hashed(plain: str, whole: str) -> str:
    return f"{plain[: NAME_MAX_CHARS - _HASH_CHARS]}_{zlib.crc32(whole.encode('utf-8', 'replace')):08x}"
