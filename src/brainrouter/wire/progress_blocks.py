"""The readers of the messages and responses dialects: what one event says of the answer's progress."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from brainrouter.wire.disguise import ErrorInfo, error_message
from brainrouter.wire.progress import Progress, holds, usage_of

_ABSENT = Raw(b"null")


class _BlockDelta(msgspec.Struct):
    text: Raw = _ABSENT
    partial_json: Raw = _ABSENT
    thinking: Raw = _ABSENT
    stop_reason: str | None = None


class _Block(msgspec.Struct):
    type: str = ""
    text: Raw = _ABSENT
    thinking: Raw = _ABSENT


class _Message(msgspec.Struct):
    model: str | None = None
    usage: Raw = _ABSENT


class _MessagesEvent(msgspec.Struct):
    type: str = ""
    delta: _BlockDelta | None = None
    content_block: _Block | None = None
    message: _Message | None = None
    usage: Raw = _ABSENT
    error: Raw = _ABSENT


_MESSAGES_EVENT = msgspec.json.Decoder(_MessagesEvent)


def read_messages(data: bytes, seen: Progress) -> ErrorInfo | None:
    """Note what an event of the messages dialect says. Returns the error it carries; ValueError when it is none."""
    event = _MESSAGES_EVENT.decode(data)
    if event.type == "content_block_delta":
        if not seen.answered and event.delta:
            delta = event.delta
            seen.answered = holds(delta.text) or holds(delta.partial_json)
            seen.begun = seen.begun or seen.answered or holds(delta.thinking)
    elif event.type == "error" or holds(event.error):
        return error_message(data)
    elif event.type == "content_block_start":
        _note_block(event.content_block or _Block(), seen)
    elif event.type == "message_start" and event.message:
        seen.model = event.message.model
        seen.usage = usage_of(event.message.usage, seen.usage)
    elif event.type == "message_delta":
        seen.usage = usage_of(event.usage, seen.usage)
        if event.delta and event.delta.stop_reason:
            seen.end(event.delta.stop_reason)
    elif event.type == "message_stop":
        seen.end(None)
        seen.complete = True
    return None


def _note_block(block: _Block, seen: Progress) -> None:
    tool = block.type.endswith("tool_use") or block.type.endswith("_tool_result")
    seen.answered = seen.answered or tool or holds(block.text)
    seen.begun = seen.begun or seen.answered or holds(block.thinking) or block.type == "redacted_thinking"


class _Item(msgspec.Struct):
    type: str = ""
    content: Raw = _ABSENT


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    status: str | None = None
    usage: Raw = _ABSENT
    output: list[_Item] | None = None
    incomplete_details: _Incomplete | None = None


class _ResponsesEvent(msgspec.Struct):
    type: str = ""
    delta: Raw = _ABSENT
    item: _Item | None = None
    response: _Response | None = None
    error: Raw = _ABSENT


_RESPONSES_EVENT = msgspec.json.Decoder(_ResponsesEvent)


def read_responses(data: bytes, seen: Progress) -> ErrorInfo | None:
    """Note what an event of the responses dialect says. Returns the error it carries; ValueError when it is none."""
    event = _RESPONSES_EVENT.decode(data)
    seen.events += 1
    if event.type.endswith(".delta"):
        if not seen.answered and holds(event.delta):
            seen.begun = True
            seen.answered = not event.type.startswith("response.reasoning")
    elif event.type in ("error", "response.failed") or holds(event.error):
        seen.complete = event.type == "response.failed"
        return error_message(data)
    elif event.type.startswith("response.output_item.") and event.item:
        _note_item(event.item, seen)
    elif event.response:
        _note_response(event.type, event.response, seen)
    return None


def _note_item(item: _Item, seen: Progress) -> None:
    if item.type == "reasoning":
        seen.begun = seen.begun or holds(item.content)
        return
    said = holds(item.content) if item.type == "message" else bool(item.type)
    seen.answered = seen.answered or said
    seen.begun = seen.begun or said


def _note_response(kind: str, response: _Response, seen: Progress) -> None:
    seen.model = response.model or seen.model
    seen.response_id = response.id or seen.response_id
    seen.usage = usage_of(response.usage, seen.usage)
    if kind not in ("response.completed", "response.incomplete"):
        return
    for item in response.output or ():
        _note_item(item, seen)
    cut = kind == "response.incomplete"
    reason = response.incomplete_details.reason if response.incomplete_details else None
    seen.end("length" if cut and reason in (None, "max_output_tokens") else reason or "completed")
    seen.complete = True
