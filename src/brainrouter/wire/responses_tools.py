"""Tools of the responses dialect as chat functions: namespaces flattened, free-text tools given one argument."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from brainrouter.wire.chat_request import function_of
from brainrouter.wire.json_body import decode_field, kind_of
from brainrouter.wire.tool_names import Tool, ToolNames

NULL = Raw(b"null")
FREE_TEXT = "input"
SEARCH = "tool_search"
_MODES = frozenset(("auto", "none", "required"))


class _Grammar(msgspec.Struct):
    type: str = ""
    syntax: str | None = None
    definition: str | None = None


class _Offered(msgspec.Struct):
    type: str = ""
    name: str = ""
    description: str | None = None
    parameters: Raw = NULL
    strict: bool | None = None
    tools: list[_Offered] | None = None
    format: _Grammar | None = None
    execution: str | None = None
    defer_loading: bool | None = None


class _Choice(msgspec.Struct):
    type: str = ""
    name: str | None = None
    namespace: str | None = None
    mode: str | None = None
    tools: list[_Choice] | None = None


_OFFERED = msgspec.json.Decoder(list[_Offered] | None)
_CHOICE = msgspec.json.Decoder(str | _Choice | None)


class Toolbox:
    """The tools of one request, in the order they were offered."""

    def __init__(self, names: ToolNames) -> None:
        self._names = names
        self.functions: dict[str, dict[str, Any]] = {}

    def offer(self, tools: Raw, path: str, *, found: bool = False) -> None:
        """Add tools. `found` says that a search gave them, so that deferred ones are offered too."""
        for tool in decode_field({path: tools}, path, _OFFERED) or ():
            self._add(tool, None, found=found)

    def choice(self, body: dict[str, Raw]) -> dict[str, Any]:
        """`tools`, `tool_choice` and `parallel_tool_calls` of the chat request, if there is anything to call."""
        if not self.functions:
            return {}
        fields: dict[str, Any] = {"tools": list(self.functions.values())}
        wanted = decode_field(body, "tool_choice", _CHOICE) if "tool_choice" in body else None
        if isinstance(wanted, str):
            fields["tool_choice"] = wanted if wanted in _MODES else "auto"
        elif wanted is not None:
            fields |= self._chosen(wanted)
        if "parallel_tool_calls" in body and kind_of(body["parallel_tool_calls"]) == "boolean":
            fields["parallel_tool_calls"] = body["parallel_tool_calls"]
        return fields

    def _add(self, tool: _Offered, namespace: str | None, *, found: bool) -> None:
        """One tool. What only OpenAI's own servers can run (web_search and its like) is left out."""
        if tool.type == "namespace":
            for inner in tool.tools or ():
                self._add(inner, tool.name, found=found)
        elif tool.type == "function" and tool.name and (found or not tool.defer_loading):
            self._put(Tool(tool.name, namespace), tool.description, tool.parameters)
        elif tool.type == "custom" and tool.name and (found or not tool.defer_loading):
            self._put(Tool(tool.name, namespace, "custom"), _free_text_words(tool), _FREE_TEXT_SCHEMA)
        elif tool.type == SEARCH and tool.execution == "client":
            self._put(Tool(SEARCH, None, "search"), tool.description, tool.parameters)

    def _put(self, tool: Tool, description: str | None, parameters: Raw | dict[str, Any]) -> None:
        name = self._names.outward(tool)
        self.functions[name] = function_of(name, description, parameters)

    def _chosen(self, wanted: _Choice) -> dict[str, Any]:
        if wanted.type == "allowed_tools":
            allowed = {self._name(tool) for tool in wanted.tools or ()}
            kept = [function for name, function in self.functions.items() if name in allowed]
            mode = wanted.mode if wanted.mode in _MODES else "auto"
            return {"tools": kept, "tool_choice": mode} if kept else {"tool_choice": "none"}
        name = self._name(wanted)
        if name in self.functions:
            return {"tool_choice": {"type": "function", "function": {"name": name}}}
        return {"tool_choice": "auto"}

    def _name(self, wanted: _Choice) -> str:
        return self._names.outward(Tool(wanted.name or wanted.type, wanted.namespace))


_FREE_TEXT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {FREE_TEXT: {"type": "string", "description": "The whole input, as plain text."}},
    "required": [FREE_TEXT],
    "additionalProperties": False,
}


def _free_text_words(tool: _Offered) -> str:
    """The description of a free-text tool, with the grammar its input must follow."""
    words = tool.description or ""
    if tool.format is not None and tool.format.definition:
        words += (
            f"\n\nThe input must follow this {tool.format.syntax or ''} grammar:\n{tool.format.definition}"
        )
    return words
