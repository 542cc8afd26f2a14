"""An answer as OpenAI chat completions say it."""

from __future__ import annotations

from typing import Any

from tests.sim.answers import Answer, Call, Event, dump

CREATED = 1_770_000_000


def usage(answer: Answer) -> dict[str, Any]:
    """OpenAI's usage object; cached tokens are part of the prompt's."""
    use = answer.usage
    prompt = use.input + use.cache_read + use.cache_write
    return {
        "prompt_tokens": prompt,
        "completion_tokens": use.output,
        "total_tokens": prompt + use.output,
        "prompt_tokens_details": {"cached_tokens": use.cache_read},
        "completion_tokens_details": {"reasoning_tokens": use.reasoning},
    }


def _timings(answer: Answer) -> dict[str, Any]:
    return {"timings": answer.timings} if answer.timings else {}


def _call(call: Call) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def whole(answer: Answer) -> dict[str, Any]:
    """A chat.completion object."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.calls:
        message["tool_calls"] = [_call(call) for call in answer.calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.chat_finish}
    return {
        "id": f"chatcmpl-{answer.ident}",
        "object": "chat.completion",
        "created": CREATED,
        "model": answer.model,
        "choices": [choice],
        "usage": usage(answer),
        **_timings(answer),
    }


def stream(answer: Answer, body: dict[str, Any]) -> list[Event]:
    """The chunks of the same answer, `[DONE]` at the end."""
    events = [_chunk(answer, {"role": "assistant", "content": ""})]
    events += [_chunk(answer, {"reasoning_content": piece}) for piece in answer.pieces(answer.reasoning)]
    events += [_chunk(answer, {"content": piece}) for piece in answer.pieces(answer.text)]
    events += [_chunk(answer, {"tool_calls": [delta]}) for delta in _call_deltas(answer)]
    events.append(_chunk(answer, {}, answer.chat_finish))
    options = body.get("stream_options") or {}
    if answer.always_usage or (isinstance(options, dict) and options.get("include_usage")):
        events.append(
            Event(dump({**_envelope(answer), "choices": [], "usage": usage(answer), **_timings(answer)}))
        )
    events.append(Event("[DONE]", terminal=True))
    return events


def _call_deltas(answer: Answer) -> list[dict[str, Any]]:
    opening = [{"index": at, **_call(Call(call.name, "", call.id))} for at, call in enumerate(answer.calls)]
    tails = [
        [{"index": at, "function": {"arguments": piece}} for piece in answer.pieces(call.arguments)]
        for at, call in enumerate(answer.calls)
    ]
    if answer.interleave:
        longest = max((len(tail) for tail in tails), default=0)
        return opening + [tail[step] for step in range(longest) for tail in tails if step < len(tail)]
    return [delta for head, tail in zip(opening, tails, strict=True) for delta in (head, *tail)]


def _envelope(answer: Answer) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{answer.ident}",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": answer.model,
    }


def _chunk(answer: Answer, delta: dict[str, Any], finish: str | None = None) -> Event:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return Event(dump({**_envelope(answer), "choices": [choice]}))
