"""Tools as a small model needs them: names and schemas as they are, long descriptions shortened by rule. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import msgspec
from msgspec import Raw

from brainrouter.policy.lean.words import CUT, cut_short, idle, shortened, telling

Tool = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """Characters: of a tool's description, of a required parameter's, of another's (none where there are `many`).

    Where they are `terse`, a parameter has no words that its name says already, one that may be left out has whole
    clauses or none, and that a number is not below nought goes without saying.
    """

    words: int
    required: int
    optional: int
    many: int
    terse: bool = False


SLIM = Limits(words=200, required=70, optional=70, many=1_000)
TERSE = Limits(words=110, required=75, optional=40, many=6, terse=True)
FULL = Limits(words=600, required=200, optional=200, many=1_000)
CODE_WORDS_MAX = 1_200  # where what to write is a program
_NO_BOUND = 2**53 - 1  # what a schema made from JavaScript says where there is none
# Of a tool with such a parameter the description is the manual of a language: without it nobody can call the tool.
_LANGUAGE = frozenset(("input", "patch"))
_CODE = frozenset(("code", "script"))

_SCHEMA_NOISE = ("$schema", "$comment", "examples", "title")
_NESTED = ("$defs", "definitions", "patternProperties")
_LOWER = ("minimum", "exclusiveMinimum")
_BOUNDS = (*_LOWER, "maximum", "exclusiveMaximum")
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
        function["parameters"] = _schema(schema, limits, 0, function["name"])
    return {**tool, "function": function}


def _described(words: str, properties: Iterable[str], limit: int) -> str:
    names = set(properties)
    if names & _LANGUAGE:
        return words
    return shortened(words, CODE_WORDS_MAX if names & _CODE else limit, clauses=True)


def _schema(schema: dict[str, Any], limits: Limits, depth: int, tool: str = "") -> dict[str, Any]:
    if depth > DEPTH_MAX:
        return schema
    slimmed: dict[str, Any] = {}
    for key, value in schema.items():
        if (key in _SCHEMA_NOISE and not isinstance(value, dict)) or _binds_nobody(key, value, limits):
            continue
        if key == "properties" and isinstance(value, dict):
            slimmed[key] = _properties(schema, cast("dict[str, Any]", value), limits, depth, tool)
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


def _properties(
    schema: dict[str, Any], inner: dict[str, Any], limits: Limits, depth: int, tool: str
) -> dict[str, Any]:
    required = schema.get("required")
    needed = set(filter(_is_text, cast("list[Any]", required))) if isinstance(required, list) else set[str]()
    beside = " ".join((tool, *inner))
    optional = limits.optional if len(inner) - len(needed) <= limits.many else 0

    def said(name: str, words: str) -> str:
        required = name in needed
        words = shortened(words, limits.required if required else optional) if required or optional else ""
        if not limits.terse:
            return words
        halved = words.endswith(CUT) and not required and telling(name)
        return "" if halved or idle(words, name, beside) else cut_short(words)

    return {name: _one(below, limits, depth, partial(said, name)) for name, below in inner.items()}


def _one(schema: Any, limits: Limits, depth: int, said: Callable[[str], str] | None = None) -> Any:
    if not isinstance(schema, dict):
        return schema
    made = _schema(cast("dict[str, Any]", schema), limits, depth + 1)
    words = made.get("description")
    if isinstance(words, str):
        made.pop("description")
        left = said(words) if said else shortened(words, limits.optional)
        if left:
            made["description"] = left
    return made


def _binds_nobody(key: str, value: Any, limits: Limits) -> bool:
    """Whether a part of a schema forbids only what nobody writes, or what every grammar made from a schema does."""
    if key == "additionalProperties":
        return value is False
    if key not in _BOUNDS or not isinstance(value, int):
        return False
    return abs(value) >= _NO_BOUND or (limits.terse and value == 0 and key in _LOWER)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
