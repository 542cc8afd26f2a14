"""A chat answer with tool calls in the place of the text that was meant as them. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from brainrouter.wire.tool_text import Call

CALLED = "tool_calls"
_CALLED = b'"finish_reason":"tool_calls"'
_GAP = re.compile(rb"\r?\n\r?\n")


def mended_whole(document: dict[str, Any], calls: Sequence[Call], stamp: str) -> dict[str, Any]:
    """A whole chat completion whose first choice calls the tools. `stamp` makes the calls' ids."""
    choice = cast("dict[str, Any]", document["choices"][0])
    message = {**choice["message"], "content": None, "tool_calls": _listed(calls, stamp, numbered=False)}
    return {**document, "choices": [{**choice, "message": message, "finish_reason": CALLED}]}


def mended_stream(held: bytes, calls: Sequence[Call], stamp: str) -> bytes | None:
    """The events of a chat stream up to its finish, with the calls before it and the text left out.

    What else a delta says (a role, reasoning), usage and the end stay as they came. None without a finish.
    """
    mended = b"".join(_event(event, calls, stamp) for event in _GAP.split(held))
    return mended if _CALLED in mended else None


def _event(event: bytes, calls: Sequence[Call], stamp: str) -> bytes:
    data = event.strip().removeprefix(b"data:").strip()
    if not event.strip():
        return b""
    try:
        chunk: Any = msgspec.json.decode(data)
        choice = cast("dict[str, Any]", chunk["choices"][0])
        said = cast("dict[str, Any]", choice.get("delta") or {})
        delta = {name: value for name, value in said.items() if name != "content"}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return event.strip(b"\r\n") + b"\n\n"
    if not choice.get("finish_reason"):
        return _frame({**chunk, "choices": [{**choice, "delta": delta}]}) if delta else b""
    called: dict[str, Any] = {
        **choice,
        "delta": {**delta, "tool_calls": _listed(calls, stamp, numbered=True)},
        "finish_reason": None,
    }
    ended: dict[str, Any] = {**choice, "delta": {}, "finish_reason": CALLED}
    before = {name: value for name, value in chunk.items() if name not in ("usage", "timings")}
    return _frame({**before, "choices": [called]}) + _frame({**chunk, "choices": [ended]})


def _frame(chunk: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def _listed(calls: Sequence[Call], stamp: str, *, numbered: bool) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = []
    for number, call in enumerate(calls):
        function = {"name": call.name, "arguments": call.arguments}
        row: dict[str, Any] = {"index": number} if numbered else {}
        listed.append({**row, "id": f"call_{stamp}{number}", "type": "function", "function": function})
    return listed
