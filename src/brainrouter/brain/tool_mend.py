"""Mends a local model's answer that holds its tool calls as text, before any of it leaves. Pure.

Costs a plain answer a look at how it begins; only one that begins like a call is held to its end.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

from brainrouter.brain.answer import Seen, is_call_text, seen_in_stream, seen_in_whole, undecided
from brainrouter.wire.mended_chat import mended_stream, mended_whole
from brainrouter.wire.tool_text import Call, Tools, calls_in, offered_tools

TEXT_MAX = 64_000
_NAMED = re.compile(r"\"(?:name|tool)\"\s*:\s*\"([^\"\\]{1,128})\"|<function=([\w.:-]{1,128})>")
_NAME_WITHIN = 400


class ToolMend:
    """For one answer. `offered` gives the request's tools, and is asked only when an answer looks like a call.

    `note` says what was mended, once something was.
    """

    def __init__(self, offered: Callable[[], Any], stamp: Callable[[], str]) -> None:
        self.note = ""
        self._offered = offered
        self._stamp = stamp
        self._tools: Tools | None = None
        self._text = ""
        self._called = self._ended = False

    def holds(self, data: bytes) -> bool:
        """Take what came anew of a stream, whole events. Whether more must be seen before any of it may leave."""
        seen = seen_in_stream(data)
        self._text += seen.text
        self._called = self._called or bool(seen.calls)
        self._ended = self._ended or seen.ended
        if not self._text or self._called or self._ended or len(self._text) > TEXT_MAX:
            return False
        if not is_call_text(self._text):
            offered = frozenset(("any",))
            return undecided(Seen(self._text, (), ended=False), offered) and bool(self._known())
        named = _NAMED.search(self._text, 0, _NAME_WITHIN)
        return bool(self._known()) and (named is None or (named[1] or named[2]) in self._known())

    def stream(self, held: bytes) -> bytes | None:
        """What to say in place of all that was held, or None when it is to be said as it is."""
        calls = self._calls(self._text) if self._ended and not self._called else None
        mended = None if calls is None else mended_stream(held, calls, self._stamp())
        return mended if mended is None else self._noted(calls, mended)

    def whole(self, document: dict[str, Any]) -> dict[str, Any] | None:
        """The whole answer mended, or None when it is to be said as it is."""
        seen = seen_in_whole(document)
        calls = (
            None if seen.calls or len(cast("list[Any]", document["choices"])) != 1 else self._calls(seen.text)
        )
        return None if calls is None else self._noted(calls, mended_whole(document, calls, self._stamp()))

    def _calls(self, text: str) -> list[Call] | None:
        return calls_in(text, self._known()) if is_call_text(text) and len(text) <= TEXT_MAX else None

    def _known(self) -> Tools:
        if self._tools is None:
            self._tools = offered_tools(self._offered())
        return self._tools

    def _noted(self, calls: list[Call] | None, mended: Any) -> Any:
        names = ", ".join(dict.fromkeys(call.name[:60] for call in calls or ()))
        self.note = f"a tool call written as text was read as one: {names}"
        return mended
