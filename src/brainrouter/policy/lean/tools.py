"""Tools as a small model needs them: names and schemas as they are, long descriptions shortened by rule. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, cast

import msgspec
from msgspec import Raw

Tool = dict[str, Any]

WORDS_MAX = 200  # of a tool's description
CODE_WORDS_MAX = 1_200  # where what to write is a program
PARAMETER_MAX = 70
# Of a tool with such a parameter the description is the manual of a language: without it nobody can call the tool.
_LANGUAGE = frozenset(("input", "patch"))
_CODE = frozenset(("code", "script"))

_BLOCKS = re.compile(
    r"<(example|examples|good-example|bad-example)>(?:(?!</?\1>).)*</\1>\s*", re.DOTALL | re.IGNORECASE
)
_BREAK = re.compile(r"(?<=[.!?])\s+|\n\s*\n|\n(?=\s*[-*#<])")
_SCHEMA_NOISE = ("$schema", "$comment", "examples", "title")
_NESTED = ("properties", "$defs", "definitions", "patternProperties")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")


def slim(tools: list[Tool], words: int = WORDS_MAX) -> list[Tool]:
    """The same tools in the order of their names, with descriptions of at most so many characters.

    No tool is renamed or left out; types, enums, defaults and what is required stay. What is short already stays as
    it is, so that slimming twice is slimming once.
    """
    return sorted((_slim(tool, words) for tool in tools), key=tool_name)


def in_order(tools: list[Tool]) -> list[Tool]:
    """The same tools in the order of their names: a server that comes up late shifts none of the others about."""
    return sorted(tools, key=tool_name)


def readable(tools: Any) -> list[Tool] | None:
    """The tools of a chat request, schemas decoded; None where one is not what a chat function is."""
    if not isinstance(tools, list):
        return None
    found: list[Tool] = []
    for tool in cast("list[Any]", tools):
        function = _object(_object(tool).get("function"))
        if not isinstance(function.get("name"), str):
            return None
        parameters = function.get("parameters")
        if isinstance(parameters, Raw):
            function = {**function, "parameters": msgspec.json.decode(parameters)}
        found.append({**_object(tool), "function": function})
    return found


def tool_name(tool: Tool) -> str:
    """What a chat function is called."""
    return tool["function"]["name"]


def parameters_of(tool: Tool) -> dict[str, Any]:
    """The JSON schema of a tool's arguments; empty where it has none."""
    return _object(tool["function"].get("parameters"))


def _slim(tool: Tool, words: int) -> Tool:
    function = dict(tool["function"])
    schema = function.get("parameters")
    if isinstance(function.get("description"), str):
        function["description"] = _described(
            function["description"], _object(_object(schema).get("properties")), words
        )
    if isinstance(schema, dict):
        function["parameters"] = _schema(cast("dict[str, Any]", schema), 0)
    return {**tool, "function": function}


def _described(words: str, properties: Iterable[str], limit: int) -> str:
    names = set(properties)
    if names & _LANGUAGE:
        return words
    return shortened(words, CODE_WORDS_MAX if names & _CODE else limit)


def shortened(words: str, limit: int) -> str:
    """The first sentences of `words`, whole ones where they fit; examples go first."""
    if len(words) <= limit:
        return words
    words = _BLOCKS.sub("", words).strip()
    if len(words) <= limit:
        return words
    end = 0
    for stop in _BREAK.finditer(words[: limit + 200]):
        if stop.start() > limit:
            break
        end = stop.start()
    if end >= limit // 3:
        return words[:end].rstrip()
    cut = words[: limit - 1]
    return (cut.rpartition(" ")[0] or cut).rstrip() + "…"


def _schema(schema: dict[str, Any], depth: int) -> dict[str, Any]:
    if depth > 20:
        return schema
    slimmed: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _SCHEMA_NOISE and not isinstance(value, dict):
            continue
        if key == "description" and isinstance(value, str):
            slimmed[key] = shortened(value, PARAMETER_MAX)
        elif key in _NESTED and isinstance(value, dict):
            inner = cast("dict[str, Any]", value)
            slimmed[key] = {name: _one(below, depth) for name, below in inner.items()}
        elif key in _LISTS and isinstance(value, list):
            slimmed[key] = [_one(below, depth) for below in cast("list[Any]", value)]
        elif key in ("items", "additionalProperties", "not"):
            slimmed[key] = _one(value, depth)
        else:
            slimmed[key] = value
    return slimmed


def _one(schema: Any, depth: int) -> Any:
    return _schema(cast("dict[str, Any]", schema), depth + 1) if isinstance(schema, dict) else schema


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
