"""Tools as a small model needs them: names and schemas as they are, long descriptions shortened by rule. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from msgspec import Raw

Tool = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """Characters: of a tool's description, of a required parameter's, of another's (none where there are `many`)."""

    words: int
    required: int
    optional: int
    many: int


SLIM = Limits(words=200, required=70, optional=70, many=1_000)
TERSE = Limits(words=120, required=60, optional=40, many=6)
FULL = Limits(words=600, required=200, optional=200, many=1_000)
CODE_WORDS_MAX = 1_200  # where what to write is a program
_NO_BOUND = 2**53 - 1  # what a schema made from JavaScript says where there is none
# Of a tool with such a parameter the description is the manual of a language: without it nobody can call the tool.
_LANGUAGE = frozenset(("input", "patch"))
_CODE = frozenset(("code", "script"))

_BLOCKS = re.compile(
    r"<(example|examples|good-example|bad-example)>(?:(?!</?\1>).)*</\1>\s*", re.DOTALL | re.IGNORECASE
)
_BREAK = re.compile(r"(?<=[.!?])\s+|\n\s*\n|\n(?=\s*[-*#<])")
_SCHEMA_NOISE = ("$schema", "$comment", "examples", "title")
_NESTED = ("$defs", "definitions", "patternProperties")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
DEPTH_MAX = 20
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")


def slim(tools: list[Tool], limits: Limits = SLIM) -> list[Tool]:
    """The same tools in the order of their names, with short descriptions.

    No tool is renamed or left out; types, enums, defaults and what is required stay. What is short already stays as
    it is, so that slimming twice is slimming once.
    """
    return sorted((_slim(tool, limits) for tool in tools), key=tool_name)


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


def _slim(tool: Tool, limits: Limits) -> Tool:
    function = dict(tool["function"])
    schema = parameters_of(tool)
    if isinstance(function.get("description"), str):
        names = _object(schema.get("properties"))
        function["description"] = _described(function["description"], names, limits.words)
    if schema:
        function["parameters"] = _schema(schema, limits, 0)
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


def _schema(schema: dict[str, Any], limits: Limits, depth: int) -> dict[str, Any]:
    if depth > DEPTH_MAX:
        return schema
    slimmed: dict[str, Any] = {}
    for key, value in schema.items():
        if (key in _SCHEMA_NOISE and not isinstance(value, dict)) or _no_bound(key, value):
            continue
        if key == "properties" and isinstance(value, dict):
            slimmed[key] = _properties(schema, cast("dict[str, Any]", value), limits, depth)
        elif key in _NESTED and isinstance(value, dict):
            inner = cast("dict[str, Any]", value)
            slimmed[key] = {name: _one(below, limits, depth) for name, below in inner.items()}
        elif key in _LISTS and isinstance(value, list):
            slimmed[key] = [_one(below, limits, depth) for below in cast("list[Any]", value)]
        elif key in ("items", "additionalProperties", "not"):
            slimmed[key] = _one(value, limits, depth)
        else:
            slimmed[key] = value
    return slimmed


def _properties(schema: dict[str, Any], inner: dict[str, Any], limits: Limits, depth: int) -> dict[str, Any]:
    required = schema.get("required")
    needed = set(filter(_is_text, cast("list[Any]", required))) if isinstance(required, list) else set[str]()
    optional = limits.optional if len(inner) - len(needed) <= limits.many else 0
    return {
        name: _one(below, limits, depth, limits.required if name in needed else optional)
        for name, below in inner.items()
    }


def _one(schema: Any, limits: Limits, depth: int, words: int | None = None) -> Any:
    if not isinstance(schema, dict):
        return schema
    made = _schema(cast("dict[str, Any]", schema), limits, depth + 1)
    said = made.get("description")
    if isinstance(said, str):
        limit = limits.optional if words is None else words
        made.pop("description")
        if limit:
            made["description"] = shortened(said, limit)
    return made


def _no_bound(key: str, value: Any) -> bool:
    return key in _BOUNDS and isinstance(value, int) and abs(value) >= _NO_BOUND


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
