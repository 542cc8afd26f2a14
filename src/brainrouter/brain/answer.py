"""Is a local model's answer fit to be sent on? Asked before its first byte leaves, while the cloud can answer.

Pure. Answers are chat completions, since that is what local backends speak.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from brainrouter.brain.evidence import looping

_TOOL_TEXT = re.compile(
    r"\s*(?:<tool_call|<function[=_]|\[TOOL_CALLS\]|<\|tool|<\|python_tag|"
    r"(?:```(?:json)?\s*)?(?:\[\s*)?\{\s*\"(?:name|tool|tool_name|function|type)\"\s*:)"
)
_MAYBE_TOOL_TEXT = re.compile(r"\s*(?:<|\[|```|\{|$)")
_SURE_AFTER = 60  # characters after which what is no tool call so far will be none


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of an answer: its text, the names of the tools it calls, whether it is over."""

    text: str
    calls: Sequence[str]
    ended: bool


def trouble(seen: Seen, offered: frozenset[str]) -> str | None:
    """What makes an answer unfit for a harness that offered these tools, or None."""
    unknown = next((name for name in seen.calls if offered and name not in offered), None)
    if unknown is not None:
        return f"called a tool that was not offered: {unknown[:60]}"
    if offered and not seen.calls and _TOOL_TEXT.match(seen.text):
        return "wrote a tool call as text"
    return "turned in circles" if looping(seen.text) else None


def is_call_text(text: str) -> bool:
    """Whether a text begins like a tool call in one of the ways in which models write them."""
    return bool(_TOOL_TEXT.match(text))


def undecided(seen: Seen, offered: frozenset[str]) -> bool:
    """Whether the beginning of a stream may still turn out to be unfit: worth holding it a moment longer."""
    if seen.ended or seen.calls or not offered or len(seen.text) > _SURE_AFTER:
        return False
    return bool(_MAYBE_TOOL_TEXT.match(seen.text))


def seen_in_whole(head: dict[str, Any]) -> Seen:
    """What a whole chat completion says."""
    choice = _first(head.get("choices"))
    message = _object(choice.get("message"))
    return Seen(_text(message.get("content")), _names(message.get("tool_calls")), ended=True)


def seen_in_stream(held: bytes) -> Seen:
    """What the events of a chat stream say that were held so far."""
    texts: list[str] = []
    calls: list[str] = []
    ended = False
    for line in held.splitlines():
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        ended = ended or data == b"[DONE]"
        choice = _first(_object(_decoded(data)).get("choices"))
        delta = _object(choice.get("delta"))
        texts.append(_text(delta.get("content")))
        calls += _names(delta.get("tool_calls"))
        ended = ended or bool(choice.get("finish_reason"))
    return Seen("".join(texts), calls, ended)


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return None


def _names(value: Any) -> list[str]:
    rows = cast("list[Any]", value) if isinstance(value, list) else []
    names = (_object(_object(row).get("function")).get("name") for row in rows)
    return [name for name in names if isinstance(name, str) and name]


def _first(value: Any) -> dict[str, Any]:
    return _object(cast("list[Any]", value)[0]) if isinstance(value, list) and value else {}


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
