"""The shape of a request: what can be counted in its text and its tools. Pure.

No feature grows with length alone: "long means hard" is right on benchmarks and wrong on pasted logs, so that counts
are capped low or are shares. Names and order are part of the shipped artefact.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[A-Za-z][A-Za-z']+|\d+(?:\.\d+)?")
_IDENT = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_PATH = re.compile(r"\w/\w|\w\.(?:py|js|tsx?|go|rs|java|c|h|cpp|rb|md|json|ya?ml|toml|css|html)\b")
_CALL = re.compile(r"\b\w+\([^()\n]{0,80}\)")
_CAMEL = re.compile(r"[a-z][A-Z]")
_SNAKE = re.compile(r"[a-z0-9]_[a-z0-9]")
_QUOTED = re.compile(r"'[^'\n]{1,60}'|\"[^\"\n]{1,80}\"|`[^`\n]{1,80}`")
_HEADING = re.compile(r"^#{1,4} |^\*\*[^*\n]{2,60}\*\*", re.MULTILINE)
_BULLET = re.compile(r"^\s*(?:[-*]|\d+[.)]) ", re.MULTILINE)
_TRACE = re.compile(
    r"Traceback|File \"[^\"]+\", line \d+|\b\w+(?:Error|Exception)\b|panic:|^\s+at \S+\(", re.MULTILINE
)
_VERSION = re.compile(r"\bv?\d+\.\d+(?:\.\d+)?\b")
_OPTION = re.compile(r"^[A-E][.)] ", re.MULTILINE)
_DOCTEST = re.compile(r"^\s*>>> ", re.MULTILINE)
_DEF = re.compile(r"^\s*(?:def|class|func|function|fn|public|private|import|from) ", re.MULTILINE)
_ASSERT = re.compile(r"^\s*assert ", re.MULTILINE)
_MATH = re.compile(r"[=+*/^<>]|\\[a-z]+|\$")
_ENTITY = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+")
_JOINED = re.compile(
    r"\b(?:and|also|then|second|lastly|additionally|another|finally|as well as|both)\b", re.IGNORECASE
)
_STOP = frozenset((
    "the", "a", "an", "of", "to", "in", "for", "is", "are", "was", "with", "and", "or", "on", "at", "by",
    "from", "that", "this", "it", "i", "you", "me", "my", "we", "our", "your", "can", "could", "what", "how",
    "which", "who", "when", "where", "does", "do", "be", "as", "if", "then", "than", "please", "would", "will",
    "has", "have", "s", "given", "using", "use", "get", "find", "calculate",
))  # fmt: skip
_ASKING = ("what", "who", "when", "where", "which", "how", "why")
_DOING = (
    "write", "fix", "implement", "add", "create", "find", "calculate", "rename", "explain", "refactor",
    "convert", "check", "get", "show", "remove", "update",
)  # fmt: skip
_WORDS = (
    "error", "bug", "expected", "should", "actual", "steps", "reproduce", "version", "issue", "support",
    "allow", "when", "instead", "title", "description", "behavior", "python", "java", "javascript", "function",
    "class", "string", "list", "array", "number", "prime", "matrix", "tuple", "dictionary", "regex", "given",
    "return", "nth", "maximum", "minimum", "sum", "sort", "test", "config", "server", "client", "api",
    "database", "user", "following", "statement", "true", "days", "hours", "total", "each", "cost", "year",
    "price", "triangle", "area", "density", "rename", "typo", "readme", "commit", "format", "comment",
    "docstring", "unused", "import", "bump", "run", "line", "file", "race", "deadlock", "design", "migrate",
    "architecture", "concurrent", "memory", "leak", "latency", "security", "prove", "distributed", "protocol",
    "redesign", "across", "production", "flaky", "lock", "transaction", "consistency", "investigate", "scale",
    "compiler", "cause", "thread",
)  # fmt: skip
MAX_TOOLS = 10
_DIGITS, _UPPER = b"0123456789", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as offered: its name, description, parameter names, and how many of those are required, if told."""

    name: str
    description: str = ""
    params: tuple[str, ...] = ()


def names() -> tuple[str, ...]:
    """The features' names, in order."""
    return _NAMES


def shape(text: str, tools: Sequence[Tool]) -> list[float]:
    """The features of a request, in the order of `names`."""
    words = [word.lower() for word in _WORD.findall(text)]
    return [*_text_shape(text, words), *_word_shape(words), *_tool_shape(text, words, tools)]


def _capped(count: float, limit: float) -> float:
    return math.log1p(min(count, limit))


def _count(text: bytes, which: bytes) -> int:
    return len(text) - len(text.translate(None, which))


def _share(count: float, whole: float) -> float:
    return min(1.0, count / whole) if whole else 0.0


_TEXT_NAMES = (
    "paths", "calls", "camel", "snake", "quoted", "fence", "heading", "bullets", "trace", "versions", "options",
    "doctests", "defs", "asserts", "math", "digits", "upper", "entities", "joined", "questions",
    "sentences_end", "newlines", "links", "escaped_newline", "punct", "nonascii", "brackets", "quote_first",
    "numbers",
)  # fmt: skip


def _text_shape(text: str, words: list[str]) -> list[float]:
    size = len(text) or 1
    many = len(words) or 1
    plain = text.encode("ascii", "ignore")
    return [
        _capped(len(_PATH.findall(text)), 6),
        _capped(len(_CALL.findall(text)), 6),
        _share(len(_CAMEL.findall(text)), many),
        _share(len(_SNAKE.findall(text)), many),
        _capped(len(_QUOTED.findall(text)), 8),
        float("```" in text),
        _capped(len(_HEADING.findall(text)), 6),
        _capped(len(_BULLET.findall(text)), 8),
        _capped(len(_TRACE.findall(text)), 6),
        _capped(len(_VERSION.findall(text)), 4),
        _capped(len(_OPTION.findall(text)), 5),
        _capped(len(_DOCTEST.findall(text)), 5),
        _capped(len(_DEF.findall(text)), 6),
        _capped(len(_ASSERT.findall(text)), 4),
        _share(len(_MATH.findall(text)), size / 10),
        _share(_count(plain, _DIGITS), size / 4),
        _share(_count(plain, _UPPER), size / 4),
        _share(len(_ENTITY.findall(text)), many / 2),
        _capped(len(_JOINED.findall(text)), 6),
        _capped(text.count("?"), 4),
        _capped(text.count(". "), 5),
        _share(text.count("\n"), size / 20),
        _capped(text.count("http"), 3),
        _capped(text.count("\\n"), 4),
        _share(sum(map(text.count, ",;:-")), size / 20),
        _share(size - len(plain), size / 10),
        _share(sum(map(text.count, "()[]{}")), size / 20),
        float(text.startswith(('"', "'"))),
        _capped(sum(1 for word in words if word[0].isdigit()), 8),
    ]


def _word_shape(words: list[str]) -> list[float]:
    held = set(words)
    first = words[0] if words else ""
    return [
        *(float(first == word) for word in (*_ASKING, *_DOING)),
        *(float(word in held or word + "s" in held) for word in _WORDS),
        _share(len(held), len(words) or 1),
        sum(map(len, words)) / (len(words) or 1) / 8,
    ]


_TOOL_NAMES = (
    "tools_any", "tools", "params_max", "params_mean", "dotted", "camel_tool", "fit_best", "fit_second",
    "fit_gap", "fit_text", "name_in_text", "numbers_per_param", "asks_per_tool", "name_fit", "param_fit",
    "described",
)  # fmt: skip


def _tool_shape(text: str, words: list[str], tools: Sequence[Tool]) -> list[float]:
    if not tools:
        return [0.0] * len(_TOOL_NAMES)
    tools = tools[:MAX_TOOLS]
    asked = {_stem(word) for word in words if word not in _STOP}
    fits = sorted((_fit(asked, tool) for tool in tools), reverse=True)
    params = [len(tool.params) for tool in tools]
    parts = [_stems(tool.name) for tool in tools]
    known = set[str]().union(
        *(_stems(f"{tool.name} {tool.description} {' '.join(tool.params)}") for tool in tools)
    )
    named = set[str]().union(*parts)
    wanted = set[str]().union(*(_stems(" ".join(tool.params)) for tool in tools))
    numbers = sum(1 for word in words if word[0].isdigit())
    return [
        1.0,
        _capped(len(tools), 8),
        _capped(max(params), 10),
        _capped(sum(params) / len(params), 10),
        float(any("." in tool.name for tool in tools)),
        float(any(_CAMEL.search(name) for tool in tools for name in (tool.name, *tool.params))),
        fits[0],
        fits[1] if len(fits) > 1 else 0.0,
        fits[0] - (fits[1] if len(fits) > 1 else 0.0),
        _share(len(asked & known), len(asked)),
        float(any(tool.name.lower() in text.lower() for tool in tools)),
        _share(numbers, 3 * max(params) or 1),
        _capped((len(_JOINED.findall(text)) + text.count("?")) / len(tools), 6),
        _share(len(asked & named), len(named)),
        _share(len(asked & wanted), len(wanted)),
        _share(len(known), 60),
    ]


def _fit(asked: set[str], tool: Tool) -> float:
    offered = _stems(f"{tool.name} {tool.description}")
    return len(asked & offered) / math.sqrt((len(asked) or 1) * (len(offered) or 1))


def _stems(text: str) -> set[str]:
    return {_stem(part.lower()) for part in _IDENT.findall(text)} - _STOP


def _stem(word: str) -> str:
    """A word without its most common endings: enough to match "calculates" with "calculate"."""
    for ending in ("ations", "ation", "ing", "ies", "es", "ed", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


_NAMES = (
    *_TEXT_NAMES,
    *(f"first_{word}" for word in (*_ASKING, *_DOING)),
    *(f"has_{word}" for word in _WORDS),
    "distinct",
    "word_length",
    *_TOOL_NAMES,
)
