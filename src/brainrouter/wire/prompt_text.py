"""The words a person typed, found among everything a harness wraps around them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, cast

import msgspec
from msgspec import Raw

from brainrouter.wire.ask import Ask
from brainrouter.wire.json_body import TEXT, opening
from brainrouter.wire.secret_shapes import masked
from brainrouter.wire.turns import TURNS

__all__ = ["excerpt", "last_user_text", "masked", "peeled"]

_ENVELOPES = (
    "system-reminder",
    "environment_context",
    "environment_details",
    "user_instructions",
    "INSTRUCTIONS",
    "permissions instructions",
    "collaboration_mode",
    "skills_instructions",
    "system_info",
    "system-info",
    "command-message",
    "command-name",
    "local-command-caveat",
    "local-command-stdout",
    "local-command-stderr",
    "ide_selection",
    "ide_opened_file",
    "total_tokens",
    "file",
    "files",
    "file_content",
    "file_contents",
    "document",
    "attachment",
    "attached_files",
)
_DUMP_LINES = re.compile(
    r"^(?:# AGENTS\.md instructions for [^\n]*|Called the \w+ tool with the following input:[^\n]*)$",
    re.MULTILINE,
)
_TEXT_PARTS = frozenset(("text", "input_text"))


class _Part(msgspec.Struct):
    type: str = ""
    text: str = ""


_TEXT = msgspec.json.Decoder(str)
_PARTS = msgspec.json.Decoder(list[_Part])
_ANYTHING = msgspec.json.Decoder(list[Any])


def last_user_text(ask: Ask) -> str:
    """What the user last said, without the harness's envelopes; empty when there is no such text.

    A user message that holds only tool results or envelopes is passed over for the one before it.
    """
    rows = ask.turns
    if rows is None:
        turns = ask.body.get("input" if ask.dialect == "responses" else "messages")
        if turns is None:
            return ""
        if opening(turns) == TEXT:
            return peeled(_text_of(turns))
        try:
            rows = TURNS.decode(turns)
        except (ValueError, RecursionError):
            return ""
    for turn in reversed(rows):
        if turn.role == "user":
            text = peeled(_text_of(turn.content))
            if text:
                return text
    return ""


def peeled(text: str) -> str:
    """A user message without harness envelopes and file dumps, trimmed. Linear in the text's length."""
    if "<" in text:
        for tag in _ENVELOPES:
            if f"<{tag}" in text:
                text = _without(text, tag)
    if "AGENTS.md" in text or "Called the" in text:
        text = _DUMP_LINES.sub("", text)
    return text.strip()


def _without(text: str, tag: str) -> str:
    """`text` less every `<tag ...>...</tag>`. What is opened and never closed stays."""
    opening, closing = f"<{tag}", f"</{tag}>"
    kept: list[str] = []
    at = 0
    while (start := text.find(opening, at)) >= 0:
        after = start + len(opening)
        if text[after : after + 1] not in (">", " ", "\n"):
            kept.append(text[at:after])
            at = after
            continue
        end = text.find(closing, after)
        if end < 0:
            break
        kept.append(text[at:start])
        at = end + len(closing)
    kept.append(text[at:])
    return "".join(kept)


def _text_of(content: Raw) -> str:
    try:
        if opening(content) == TEXT:
            return _TEXT.decode(content)
        return "\n".join(
            part.text for part in _PARTS.decode(content) if part.type in _TEXT_PARTS and part.text
        )
    except RecursionError:
        return ""
    except ValueError:
        return _odd_text_of(content)


def _odd_text_of(content: Raw) -> str:
    """The same for a list that holds other than well-typed parts: what is text in it counts."""
    try:
        parts = _ANYTHING.decode(content)
    except (ValueError, RecursionError):
        return ""
    return "\n".join(filter(None, map(_odd_text, parts)))


def _odd_text(part: object) -> str:
    if isinstance(part, dict):
        fields = cast("dict[str, object]", part)
        part = fields.get("text") if fields.get("type") in ("text", "input_text") else None
    return part if isinstance(part, str) else ""


_LOOK_AHEAD = 300


def excerpt(text: str, limit: int = 200) -> str:
    """One printable line of at most `limit` characters, secrets masked: fit for events, logs and the page."""
    window = limit + _LOOK_AHEAD
    return _line(text[:window], limit, cut=len(text) > window)


@lru_cache(maxsize=64)  # a tool loop asks with the same words dozens of times
def _line(text: str, limit: int, *, cut: bool) -> str:
    line = " ".join(text.split())
    if not line.isprintable():
        line = "".join(filter(str.isprintable, line))
    if cut:
        # A key cut in two by the window would no longer look like one.
        line = line.rpartition(" ")[0] or line[:limit]
    line = masked(line)
    return line if len(line) <= limit and not cut else line[: limit - 1].rstrip() + "…"
