"""An answer as OpenAI responses say it."""

from __future__ import annotations

from typing import Any

from tests.sim.answers import Answer, Event, dump
from tests.sim.say_chat import CREATED


def usage(answer: Answer) -> dict[str, Any]:
    """The usage object of a response."""
    use = answer.usage
    total_in = use.input + use.cache_read + use.cache_write
    return {
        "input_tokens": total_in,
        "input_tokens_details": {"cached_tokens": use.cache_read},
        "output_tokens": use.output,
        "output_tokens_details": {"reasoning_tokens": use.reasoning},
        "total_tokens": total_in + use.output,
    }


def items(answer: Answer) -> list[dict[str, Any]]:
    """The output items: reasoning, message, function calls."""
    output: list[dict[str, Any]] = []
    if answer.reasoning:
        summary = [{"type": "summary_text", "text": answer.reasoning}]
        output.append({"id": f"rs_{answer.ident}", "type": "reasoning", "summary": summary})
    if answer.text:
        content = [{"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}]
        item = {"id": f"msg_{answer.ident}", "type": "message", "status": "completed", "role": "assistant"}
        output.append({**item, "content": content})
    for number, call in enumerate(answer.calls):
        item = {"id": f"fc_{answer.ident}_{number}", "type": "function_call", "status": "completed"}
        output.append({**item, "call_id": call.id, "name": call.name, "arguments": call.arguments})
    return output


def whole(answer: Answer) -> dict[str, Any]:
    """A response object."""
    cut = answer.chat_finish == "length"
    return {
        "id": f"resp_{answer.ident}",
        "object": "response",
        "created_at": CREATED,
        "status": "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "instructions": None,
        "metadata": {},
        "model": answer.model,
        "output": items(answer),
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage(answer),
    }


def stream(answer: Answer, body: dict[str, Any]) -> list[Event]:
    """The events of the same response, numbered."""
    full = whole(answer)
    opened = {**full, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    said: list[dict[str, Any]] = [
        {"type": "response.created", "response": opened},
        {"type": "response.in_progress", "response": opened},
    ]
    for index, item in enumerate(full["output"]):
        said += _item(answer, index, item)
    kind = "response.incomplete" if full["status"] == "incomplete" else "response.completed"
    said.append({"type": kind, "response": full})
    events = [Event(dump({**event, "sequence_number": at}), event["type"]) for at, event in enumerate(said)]
    return [*events[:-1], Event(events[-1].data, events[-1].name, terminal=True)]


def _item(answer: Answer, index: int, item: dict[str, Any]) -> list[dict[str, Any]]:
    where = {"item_id": item["id"], "output_index": index}
    if item["type"] == "reasoning":
        empty, middle = {**item, "summary": []}, _summary(answer, {**where, "summary_index": 0})
    elif item["type"] == "message":
        empty = {**item, "status": "in_progress", "content": []}
        middle = _text(answer, {**where, "content_index": 0})
    else:
        empty = {**item, "status": "in_progress", "arguments": ""}
        kind = "response.function_call_arguments"
        middle = [
            {"type": f"{kind}.delta", **where, "delta": piece} for piece in answer.pieces(item["arguments"])
        ]
        done = {"type": f"{kind}.done", **where, "name": item["name"], "arguments": item["arguments"]}
        middle.append(done)
    return [
        {"type": "response.output_item.added", "output_index": index, "item": empty},
        *middle,
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def _summary(answer: Answer, where: dict[str, Any]) -> list[dict[str, Any]]:
    kind, part = "response.reasoning_summary", {"type": "summary_text", "text": answer.reasoning}
    return [
        {"type": f"{kind}_part.added", **where, "part": {**part, "text": ""}},
        *(
            {"type": f"{kind}_text.delta", **where, "delta": piece}
            for piece in answer.pieces(answer.reasoning)
        ),
        {"type": f"{kind}_text.done", **where, "text": answer.reasoning},
        {"type": f"{kind}_part.done", **where, "part": part},
    ]


def _text(answer: Answer, where: dict[str, Any]) -> list[dict[str, Any]]:
    part = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
    deltas = [
        {"type": "response.output_text.delta", **where, "delta": piece, "logprobs": []}
        for piece in answer.pieces(answer.text)
    ]
    return [
        {"type": "response.content_part.added", **where, "part": {**part, "text": ""}},
        *deltas,
        {"type": "response.output_text.done", **where, "text": answer.text, "logprobs": []},
        {"type": "response.content_part.done", **where, "part": part},
    ]
