"""The end of a conversation in one form, whichever protocol it came in: who spoke, what was called, what came back.

Only what the decision reads is decoded: what happened since the user last spoke. A long session costs no more to read
than a short one. Pure.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

import msgspec
from msgspec import Raw

from brainrouter.wire.ask import Ask
from brainrouter.wire.json_body import LIST, TEXT, opening
from brainrouter.wire.prompt_text import peeled

Kind = Literal["user", "assistant", "call", "result"]
TAIL = 60
RESULT_CHARS = 4000


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened. `name` and `id` are of a tool call or its result; `text` is what was said or returned.

    A call's `text` is its arguments as they were written. A user's is without the harness's envelopes.
    """

    kind: Kind
    text: str = ""
    name: str = ""
    id: str = ""
    error: bool = False


@dataclass(frozen=True, slots=True)
class Transcript:
    """The end of a conversation: how many messages there are in all; a number for its beginning.

    `steps`, oldest first, reach back to the user's last words and to something that was no user's, where there are such
    among the last TAIL messages.
    """

    steps: tuple[Step, ...]
    messages: int
    origin: int

    @property
    def open_loop(self) -> bool:
        """Whether the last thing that happened is a tool's result: the model is in the middle of its turn."""
        return bool(self.steps) and self.steps[-1].kind == "result"

    @property
    def first(self) -> bool:
        """Whether no model has said or done anything yet."""
        return all(step.kind == "user" for step in self.steps)

    @property
    def user_text(self) -> str:
        """What the user last said, of what was read."""
        return next((step.text for step in reversed(self.steps) if step.kind == "user"), "")

    def since_user(self) -> tuple[Step, ...]:
        """What happened since the user last spoke."""
        for at in range(len(self.steps) - 1, -1, -1):
            if self.steps[at].kind == "user":
                return self.steps[at + 1 :]
        return self.steps


class _Call(msgspec.Struct):
    id: str = ""
    function: Raw = Raw(b"null")


class _Function(msgspec.Struct):
    name: str = ""
    arguments: Raw = Raw(b'""')


class _Message(msgspec.Struct):
    role: str = ""
    type: str = ""
    content: Raw = Raw(b"null")
    tool_calls: Raw = Raw(b"null")
    tool_call_id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Raw = Raw(b'""')
    input: Raw = Raw(b'""')
    output: Raw = Raw(b"null")


_MESSAGES = msgspec.json.Decoder(list[_Message])
_CALLS = msgspec.json.Decoder(list[_Call])
_FUNCTION = msgspec.json.Decoder(_Function)
_ANY = msgspec.json.Decoder()
_USER_NOTE = Step("user")


def transcript(ask: Ask, tail: int = TAIL) -> Transcript:
    """The conversation of a request that was accepted. What cannot be read counts as not there."""
    raw = ask.body.get("input" if ask.dialect == "responses" else "messages")
    if raw is None:
        return Transcript((), 0, 0)
    if opening(raw) == TEXT:
        text = peeled(_text(raw))
        return Transcript((Step("user", text),) if text else (), 1, zlib.crc32(raw))
    try:
        rows = _MESSAGES.decode(raw)
    except (ValueError, RecursionError):
        return Transcript((), 0, 0)
    return Transcript(_end(rows[-tail:]), len(rows), _origin(rows))


def _end(rows: list[_Message]) -> tuple[Step, ...]:
    read: list[list[Step]] = []
    kinds: set[Kind] = set()
    for row in reversed(rows):
        steps = [step for step in _steps(row) if step is not _USER_NOTE]
        read.append(steps)
        kinds.update(step.kind for step in steps)
        if "user" in kinds and len(kinds) > 1:
            break
    return tuple(step for steps in reversed(read) for step in steps)


def _origin(rows: list[_Message]) -> int:
    """A number for the first thing a user said: it stays while the conversation grows."""
    for row in rows:
        if row.role == "user":
            return zlib.crc32(row.content)
    return 0


def _steps(row: _Message) -> Iterator[Step]:
    if row.type in ("function_call", "custom_tool_call"):
        written = _text(row.arguments) if row.type == "function_call" else _text(row.input)
        yield Step("call", written, row.name or "", row.call_id or "")
    elif row.type in ("function_call_output", "custom_tool_call_output"):
        yield _result(row.output, row.call_id or "", error=False)
    elif row.role == "tool":
        yield _result(row.content, row.tool_call_id or "", error=False)
    elif row.role == "user":
        yield from _user(row.content)
    elif row.role == "assistant":
        yield from _assistant(row)


def _user(content: Raw) -> Iterator[Step]:
    """Results first: what a person adds to them is what they said last."""
    said: list[str] = []
    for block in _blocks(content):
        if block.get("type") == "tool_result":
            yield _result_of(block)
        elif isinstance(text := block.get("text"), str):
            said.append(text)
    text = peeled("\n".join(said))
    yield Step("user", text) if text else _USER_NOTE


def _assistant(row: _Message) -> Iterator[Step]:
    calls: list[Step] = []
    said: list[str] = []
    for block in _blocks(row.content):
        if block.get("type") == "tool_use":
            written = msgspec.json.encode(block.get("input")).decode()
            calls.append(Step("call", written, str(block.get("name", "")), str(block.get("id", ""))))
        elif isinstance(text := block.get("text"), str):
            said.append(text)
    text = "\n".join(said)
    if text.strip():
        yield Step("assistant", text)
    yield from calls
    yield from _chat_calls(row.tool_calls)


def _chat_calls(raw: Raw) -> Iterator[Step]:
    try:
        calls = _CALLS.decode(raw) if opening(raw) == LIST else []
        for call in calls:
            function = _FUNCTION.decode(call.function)
            yield Step("call", _text(function.arguments), function.name, call.id)
    except (ValueError, RecursionError):
        return


def _result(content: Raw, call: str, *, error: bool) -> Step:
    text = "\n".join(str(block.get("text", "")) for block in _blocks(content))
    return Step("result", clip(text), "", call, error)


def _result_of(block: dict[str, Any]) -> Step:
    content = block.get("content")
    parts = cast("list[Any]", content) if isinstance(content, list) else [content]
    texts = (part if isinstance(part, str) else _part_text(part) for part in parts)
    text = "\n".join(filter(None, texts))
    return Step("result", clip(text), "", str(block.get("tool_use_id", "")), bool(block.get("is_error")))


def _part_text(part: Any) -> str:
    text: Any = cast("dict[str, Any]", part).get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""


def clip(text: str) -> str:
    """Head and tail of a tool's output: what it says of success stands there."""
    half = RESULT_CHARS // 2
    return text if len(text) <= RESULT_CHARS else f"{text[:half]}\n{text[-half:]}"


def _blocks(content: Raw) -> list[dict[str, Any]]:
    """Content as blocks; a plain string is one block of text."""
    try:
        value: Any = _ANY.decode(content)
    except (ValueError, RecursionError):
        return []
    if isinstance(value, str):
        return [{"text": value}]
    if not isinstance(value, list):
        return []
    return [cast("dict[str, Any]", item) for item in cast("list[Any]", value) if isinstance(item, dict)]


def _text(raw: Raw) -> str:
    """A JSON string's text; anything else as it is written."""
    try:
        value: Any = _ANY.decode(raw)
    except (ValueError, RecursionError):
        return ""
    return value if isinstance(value, str) else bytes(raw).decode("utf-8", "replace")
