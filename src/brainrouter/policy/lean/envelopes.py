"""What a harness wrote into a message: system text whole, and the envelopes it puts into a user turn. Pure, linear."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

from brainrouter.policy.adapt import SYSTEM_ROLES, Message, text_of

Change = Callable[[str], str]

_OPEN = re.compile(r"<(system-reminder|skills_instructions)>")


def is_system(message: Message) -> bool:
    """Whether all of a message is the harness' (or the caller's), not the user's turn."""
    return message.get("role") in SYSTEM_ROLES


def harness_texts(message: Message) -> list[str]:
    """The texts in a message that a harness wrote; of an envelope, what is in it."""
    if is_system(message):
        return [text_of(message.get("content"))]
    if message.get("role") != "user":
        return []
    found: list[str] = []

    def look(inner: str) -> str:
        found.append(inner)
        return inner

    changed(message, look)
    return found


def changed(message: Message, change: Change) -> Message | None:
    """A message with `change` made to what a harness wrote in it; None where a system message is left empty.

    An envelope that is left empty goes. A user turn never does: no template takes an empty one, nor two answers in a
    row, so it stays as it was.
    """
    if is_system(message):
        text = text_of(message.get("content"))
        new = change(text)
        return message if new == text else {**message, "content": new} if new.strip() else None
    if message.get("role") != "user":
        return message
    content = message.get("content")
    if isinstance(content, str):
        new = _in_envelopes(content, change)
        return message if new == content or not new.strip() else {**message, "content": new}
    if not isinstance(content, list):
        return message
    parts = cast("list[Any]", content)
    kept = [new for part in parts if (new := _part(part, change)) is not None]
    return {**message, "content": kept} if kept and kept != parts else message


def _part(part: Any, change: Change) -> Any:
    if not isinstance(part, dict):
        return part
    fields = cast("dict[str, Any]", part)
    text = fields.get("text")
    if not isinstance(text, str):
        return fields
    new = _in_envelopes(text, change)
    return fields if new == text else {**fields, "text": new} if new.strip() else None


def _in_envelopes(text: str, change: Change) -> str:
    pieces: list[str] = []
    unclosed: set[str] = set()
    at = 0
    for opening in _OPEN.finditer(text):
        name = opening.group(1)
        if opening.start() < at or name in unclosed:
            continue
        end = text.find(f"</{name}>", opening.end())
        if end < 0:
            unclosed.add(name)
            continue
        inner = text[opening.end() : end]
        new = change(inner)
        pieces.append(text[at : opening.start()])
        at = end + len(name) + 3
        if new == inner:
            pieces.append(text[opening.start() : at])
        elif new.strip():
            pieces.append(f"<{name}>\n{new.strip()}\n</{name}>")
        else:
            at += len(text[at:]) - len(text[at:].lstrip("\n")) if text[at : at + 1] == "\n" else 0
    return "".join((*pieces, text[at:])) if pieces else text
