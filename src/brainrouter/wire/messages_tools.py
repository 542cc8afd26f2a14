"""Tools of the messages dialect as chat functions; deferred ones only once a tool reference names them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

from brainrouter.wire.chat_request import function_of
from brainrouter.wire.json_body import decode_field, kind_of
from brainrouter.wire.tool_names import Tool, ToolNames

NULL = Raw(b"null")
PLACEHOLDER = "DeferredToolPlaceholder"
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


class _Tool(msgspec.Struct):
    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: Raw = NULL
    defer_loading: bool | None = None


class _Choice(msgspec.Struct):
    type: str = "auto"
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


_TOOLS = msgspec.json.Decoder(list[_Tool] | None)
_CHOICE = msgspec.json.Decoder(_Choice | None)


def tool_fields(body: dict[str, Raw], referenced: Iterable[str], names: ToolNames) -> dict[str, Any]:
    """`tools`, `tool_choice` and `parallel_tool_calls` of the chat request, as far as there is anything to call.

    Tools that only the vendor's own servers can run are left out. A deferred tool that was named comes after all
    others, in the order of naming: what is before it stays the same, and so does the model's prompt cache.
    """
    if "tools" not in body and "tool_choice" not in body:
        return {}
    offered: list[_Tool] = (decode_field(body, "tools", _TOOLS) if "tools" in body else None) or []
    choice = (decode_field(body, "tool_choice", _CHOICE) if "tool_choice" in body else None) or _Choice()
    known = {tool.name: tool for tool in offered if _is_function(tool)}
    first = [tool for tool in known.values() if not tool.defer_loading]
    wanted = dict.fromkeys((*referenced, *([choice.name] if choice.type == "tool" and choice.name else ())))
    later = [known[name] for name in wanted if name in known and known[name].defer_loading]
    functions = [
        function_of(names.outward(Tool(tool.name)), tool.description, tool.input_schema)
        for tool in (*first, *later)
    ]
    if not functions:
        return {}
    fields: dict[str, Any] = {"tools": functions}
    if choice.type == "tool" and choice.name:
        fields["tool_choice"] = {"type": "function", "function": {"name": names.outward(Tool(choice.name))}}
    elif "tool_choice" in body:
        fields["tool_choice"] = _CHOICES.get(choice.type, "auto")
    if choice.disable_parallel_tool_use is not None:
        fields["parallel_tool_calls"] = not choice.disable_parallel_tool_use
    return fields


def _is_function(tool: _Tool) -> bool:
    """One that the caller runs and that says what it takes; the placeholder only says that others are deferred."""
    has_schema = kind_of(tool.input_schema) == "object"
    return bool(tool.name) and tool.name != PLACEHOLDER and (has_schema or tool.type in (None, "custom"))
