"""What kind of request a harness sends: its user's turn, the middle of a tool loop, or its own housekeeping. Pure.

Recognised by shape and headers, not by the wording of any one version; see tests/brain/turns.py for what each sends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, cast

import msgspec
from msgspec import Raw

from brainrouter.brain.transcript import Transcript
from brainrouter.wire.ask import Ask

TurnKind = Literal[
    "main", "continuation", "title", "summary", "compaction", "check", "probe", "subagent", "small"
]
HOUSEKEEPING = frozenset(("title", "summary", "check", "probe", "small"))

_SMALL_NAMES = re.compile(r"haiku|small[-_]?fast", re.IGNORECASE)
_TITLE = re.compile(
    r"\btitles?\b|\bname (?:for )?th(?:e|is) (?:conversation|session|chat|thread)\b", re.IGNORECASE
)
_SUMMARY = re.compile(
    r"\b(?:summar(?:y|ies|i[sz]e|i[sz]ing|i[sz]ation)|compact(?:ion|ing)?|hand-?off)\b", re.IGNORECASE
)
_OF_TALK = re.compile(
    r"\b(?:conversation|session|context|transcript|dialog(?:ue)?|discussion|so far|work done)\b",
    re.IGNORECASE,
)
_CHECK = re.compile(
    r"\b(?:new topic|command prefix|prefix of (?:the|a) command|injection|is (?:safe|allowed)|malicious|"
    r"classif(?:y|ier))\b",
    re.IGNORECASE,
)
_SUBAGENT_HEADERS = ("x-claude-code-agent-id", "x-parent-session-id")
_SMALL_BODY = 24_000
_TINY_BODY = 1_500
_LONG_ORDER = 400  # a person who asks for a summary says so in a line; a harness writes pages
_READ = 6_000


@dataclass(frozen=True, slots=True)
class Request:
    """What the kind is told by, read once."""

    tools: int
    system: str
    max_tokens: int | None
    schema: frozenset[str]


def turn_kind(ask: Ask, talk: Transcript, tools: int) -> TurnKind:
    """The kind of a request whose transcript was read; `tools` counts what it offers."""
    if talk.open_loop:
        return "continuation"
    request = Request(tools, _system(ask), _max_tokens(ask), _schema(ask))
    if _is_compaction(talk):
        return "compaction" if talk.messages > 3 else "summary"
    small = None if tools else _without_tools(ask, talk, request)
    if small is not None:
        return small
    return "subagent" if any(name in ask.headers for name in _SUBAGENT_HEADERS) else "main"


def _without_tools(ask: Ask, talk: Transcript, request: Request) -> TurnKind | None:
    """Housekeeping comes without tools, and is small."""
    size = len(ask.raw)
    if request.max_tokens is not None and request.max_tokens <= 1 and size < _TINY_BODY:
        return "probe"
    if "title" in request.schema and len(request.schema) <= 2:
        return "title"
    if size < _SMALL_BODY and ask.harness is not None:
        if _TITLE.search(request.system) or (not request.system and _TITLE.search(talk.user_text[:300])):
            return "title"
        if _CHECK.search(request.system):
            return "check"
    if size < _SMALL_BODY and _SUMMARY.search(request.system[:600]) and _OF_TALK.search(request.system[:600]):
        return "summary"
    if ask.harness in ("omp", "opencode") and size < _TINY_BODY:
        return "title"
    return "small" if _SMALL_NAMES.search(ask.model) else None


def _is_compaction(talk: Transcript) -> bool:
    text = talk.user_text
    if len(text) < _LONG_ORDER or talk.messages < 2:
        return False
    head = text[:_LONG_ORDER]
    return bool(_SUMMARY.search(head) and _OF_TALK.search(head))


def _system(ask: Ask) -> str:
    """The first words of the system prompt, where the request says what it is for."""
    raw = ask.body.get("system") or ask.body.get("instructions")
    if raw is not None:
        return _flat(_decoded(raw))[:_READ]
    if len(ask.raw) > _SMALL_BODY:
        return ""
    rows = _decoded(ask.body.get("messages") or ask.body.get("input"))
    if not isinstance(rows, list):
        return ""
    held = (cast("dict[str, Any]", row) for row in cast("list[Any]", rows)[:3] if isinstance(row, dict))
    return "\n".join(_flat(row.get("content")) for row in held if row.get("role") in ("system", "developer"))[
        :_READ
    ]


def _flat(value: Any) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return ""
    parts = (
        cast("dict[str, Any]", part).get("text")
        for part in cast("list[Any]", value)
        if isinstance(part, dict)
    )
    return "\n".join(part for part in parts if isinstance(part, str))


def _max_tokens(ask: Ask) -> int | None:
    for name in ("max_tokens", "max_completion_tokens", "max_output_tokens"):
        value = _decoded(ask.body.get(name))
        if isinstance(value, int):
            return value
    return None


def _schema(ask: Ask) -> frozenset[str]:
    """The property names of the JSON schema that the answer must have, wherever each protocol says it."""
    for name in ("output_config", "response_format", "text"):
        found = _properties(_decoded(ask.body.get(name)), 4)
        if found:
            return found
    return frozenset()


def _properties(value: Any, depth: int) -> frozenset[str]:
    if not isinstance(value, dict) or depth == 0:
        return frozenset()
    fields = cast("dict[str, Any]", value)
    properties = fields.get("properties")
    if isinstance(properties, dict):
        return frozenset(cast("dict[str, Any]", properties))
    for name in ("format", "json_schema", "schema"):
        found = _properties(fields.get(name), depth - 1)
        if found:
            return found
    return frozenset()


def _decoded(raw: Raw | None) -> Any:
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return None
