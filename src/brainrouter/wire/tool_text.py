"""Tool calls that a model wrote as text, in the ways in which local models do it. Pure.

Only what is beyond doubt is read as a call: nothing but calls in the text, each of a tool that was offered, with every
required argument and none of a wrong type. A value is never invented or changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

MAX_CALLS = 16
_NAME = ("name", "tool", "tool_name", "function")
_ARGUMENTS = ("arguments", "parameters", "args", "input", "tool_input")
# An opening, and the closing that it needs.
_OPENINGS = (
    (re.compile(r"<tool_call>"), "</tool_call>"),
    (re.compile(r"<function_call>"), "</function_call>"),
    (re.compile(r"<tool>"), "</tool>"),
    (re.compile(r"(?=<function=)"), "</function>"),
    (re.compile(r"```(?:json|tool_call|tool_code)?\s*\n?"), "```"),
)
_FUNCTION = re.compile(r"<function=([\w.:-]{1,128})>\s*")
_PARAMETER = re.compile(r"<parameter=([\w.:-]{1,128})>\n?")
_MARKED = re.compile(r"(?:\[TOOL_CALLS\]|<\|python_tag\|>|<\|tool_call\|>)\s*")
_NAMED = re.compile(r"([\w.:-]{1,128})\s*(?=\{)")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
    "null": type(None),
}

Tools = Mapping[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call; `arguments` is the JSON object as text."""

    name: str
    arguments: str


def offered_tools(tools: Any) -> Tools:
    """The JSON schema of each tool's arguments, by name, of a chat request's `tools`; odd ones are left out."""
    found: dict[str, dict[str, Any]] = {}
    for tool in cast("list[Any]", tools) if isinstance(tools, list) else []:
        function = _object(_object(tool).get("function"))
        name = function.get("name")
        if isinstance(name, str) and name:
            found[name] = _object(function.get("parameters"))
    return found


def calls_in(text: str, offered: Tools) -> list[Call] | None:
    """The calls that a text consists of; None where it is anything else."""
    pieces = _pieces(text.strip())
    if pieces is None or not 0 < len(pieces) <= MAX_CALLS:
        return None
    calls = [_call(name, arguments, offered) for name, arguments in pieces]
    return [call for call in calls if call is not None] if None not in calls else None


def _pieces(text: str) -> list[tuple[str, Any]] | None:
    """(name, arguments) of each call, arguments as they were written; None where something else is there as well."""
    found: list[tuple[str, Any]] = []
    while text:
        opened = _opening(text)
        if opened is None:
            return None if found else _bare(text)
        inner, closed, rest = text[opened[0] :].partition(opened[1])
        pieces = _bare(inner.strip()) if closed else None
        if pieces is None or len(found) > MAX_CALLS:
            return None
        found += pieces
        text = rest.strip()
    return found


def _opening(text: str) -> tuple[int, str] | None:
    """Where what an opening holds begins, and what closes it; None where a text begins otherwise."""
    for start, closing in _OPENINGS:
        match = start.match(text)
        if match:
            return match.end(), closing
    return None


def _bare(text: str) -> list[tuple[str, Any]] | None:
    """The calls in a text without tags around it: JSON, a name before its JSON, or a function in XML."""
    text = text.removesuffix("</function>")
    function = _FUNCTION.match(text)
    if function:
        arguments = _from_xml(text[function.end() :])
        return None if arguments is None else [(function[1], arguments)]
    marked = _MARKED.match(text)
    text = text[marked.end() :] if marked else text
    named = _NAMED.match(text)
    if named:
        arguments = _json(text[named.end() :])
        return [(named[1], arguments)] if isinstance(arguments, dict) else None
    value = _json(text)
    rows = cast("list[Any]", value) if isinstance(value, list) else [value]
    found = [_from_json(row) for row in rows[: MAX_CALLS + 1]]
    return [piece for piece in found if piece is not None] if found and None not in found else None


def _from_xml(text: str) -> dict[str, Any] | None:
    """Arguments as text: what type they are is for the tool's schema to say."""
    found: dict[str, Any] = {}
    while text:
        opened = _PARAMETER.match(text)
        if opened is None or opened[1] in found:
            return None
        value, closed, rest = text[opened.end() :].partition("</parameter>")
        if not closed:
            return None
        found[opened[1]] = _Written(value.removesuffix("\n"))
        text = rest.lstrip()
    return found


class _Written(str):
    """A value that was written without its type."""


def _from_json(row: Any) -> tuple[str, Any] | None:
    """A call in one of the shapes `{"name", "arguments"}`; its keys may be called otherwise, but none may be left."""
    fields = dict(_object(row))
    if fields.get("type") in ("function", "tool_call", "tool_use"):
        del fields["type"]
    fields.pop("id", None)
    inner = fields.get("function")
    if isinstance(inner, dict) and len(fields) == 1:
        fields = dict(cast("dict[str, Any]", inner))
    names = [key for key in _NAME if isinstance(fields.get(key), str)]
    held = [key for key in _ARGUMENTS if key in fields]
    if len(names) != 1 or len(held) != 1 or len(fields) != 2:
        return None
    arguments = fields[held[0]]
    return fields[names[0]], _json(arguments) if isinstance(arguments, str) else arguments


def _call(name: str, arguments: Any, offered: Tools) -> Call | None:
    schema = offered.get(name)
    if schema is None or not isinstance(arguments, dict):
        return None
    given = cast("dict[str, Any]", arguments)
    properties = _object(schema.get("properties"))
    required = schema.get("required")
    if isinstance(required, list) and not set(cast("list[Any]", required)) <= set(given):
        return None
    if properties and schema.get("additionalProperties") is False and not set(given) <= set(properties):
        return None
    fitted = {key: _fitted(value, _object(properties.get(key))) for key, value in given.items()}
    if any(value is _UNFIT for value in fitted.values()):
        return None
    return Call(name, msgspec.json.encode(fitted).decode())


_UNFIT = object()


def _fitted(value: Any, schema: dict[str, Any]) -> Any:
    """The value when its schema allows it, else _UNFIT. One without a type is read as the schema has it."""
    types = _types(schema)
    if isinstance(value, _Written):
        read = str(value) if not types or "string" in types else _json(str(value))
        value = _UNFIT if read is None and "null" not in types else read
    if value is _UNFIT or (types and not any(_is(value, kind) for kind in types)):
        return _UNFIT
    allowed = schema.get("enum")
    return _UNFIT if isinstance(allowed, list) and value not in cast("list[Any]", allowed) else value


def _types(schema: dict[str, Any]) -> Sequence[str]:
    """The types that a schema names outright; empty where it says it otherwise, or not at all."""
    kind = schema.get("type")
    kinds = cast("list[str]", kind) if isinstance(kind, list) else [str(kind)]
    return kinds if all(one in _TYPES for one in kinds) else ()


def _is(value: Any, kind: str) -> bool:
    if kind in ("integer", "number") and isinstance(value, bool):
        return False
    return isinstance(value, _TYPES[kind]) or (
        kind == "integer" and isinstance(value, float) and value.is_integer()
    )


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
