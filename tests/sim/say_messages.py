"""An answer as Anthropic messages say it."""

from __future__ import annotations

import json
from typing import Any

from tests.sim.answers import Answer, Event, dump

STOP = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "content_filter": "refusal"}


def usage(answer: Answer) -> dict[str, int]:
    """Anthropic's usage object; cached tokens are counted beside the input."""
    use = answer.usage
    return {
        "input_tokens": use.input,
        "cache_creation_input_tokens": use.cache_write,
        "cache_read_input_tokens": use.cache_read,
        "output_tokens": use.output,
    }


def _loads(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return {"raw": text}


def blocks(answer: Answer) -> list[dict[str, Any]]:
    """The content blocks: thinking, text, tool uses."""
    content: list[dict[str, Any]] = []
    if answer.reasoning:
        content.append({"type": "thinking", "thinking": answer.reasoning, "signature": "c2ln"})
    if answer.text:
        content.append({"type": "text", "text": answer.text})
    content += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": _loads(call.arguments)}
        for call in answer.calls
    ]
    return content


def _message(answer: Answer) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.ident}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**usage(answer), "output_tokens": 1},
    }


def whole(answer: Answer) -> dict[str, Any]:
    """A message object."""
    stop = STOP.get(answer.chat_finish, answer.chat_finish)
    return {**_message(answer), "content": blocks(answer), "stop_reason": stop, "usage": usage(answer)}


def stream(answer: Answer, body: dict[str, Any]) -> list[Event]:
    """The events of the same message, a ping after the start as the real one sends."""
    events = [_event("message_start", {"message": _message(answer)}), _event("ping", {})]
    starts: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if answer.reasoning:
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in answer.pieces(answer.reasoning)]
        deltas.append({"type": "signature_delta", "signature": "c2ln"})
        starts.append(({"type": "thinking", "thinking": "", "signature": ""}, deltas))
    if answer.text:
        deltas = [{"type": "text_delta", "text": piece} for piece in answer.pieces(answer.text)]
        starts.append(({"type": "text", "text": ""}, deltas))
    for call in answer.calls:
        deltas = [
            {"type": "input_json_delta", "partial_json": piece}
            for piece in ["", *answer.pieces(call.arguments)]
        ]
        starts.append(({"type": "tool_use", "id": call.id, "name": call.name, "input": {}}, deltas))
    for index, (block, deltas) in enumerate(starts):
        events.append(_event("content_block_start", {"index": index, "content_block": block}))
        events += [_event("content_block_delta", {"index": index, "delta": delta}) for delta in deltas]
        events.append(_event("content_block_stop", {"index": index}))
    stop = STOP.get(answer.chat_finish, answer.chat_finish)
    last = {"delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage(answer)}
    events.append(_event("message_delta", last))
    events.append(_event("message_stop", {}, terminal=True))
    return events


def _event(kind: str, fields: dict[str, Any], terminal: bool = False) -> Event:
    return Event(dump({"type": kind, **fields}), kind, terminal=terminal)
