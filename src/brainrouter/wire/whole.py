"""The few facts that the router needs of a whole (not streamed) answer."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from brainrouter.wire.ask import Dialect
from brainrouter.wire.chat_chunk import Usage
from brainrouter.wire.disguise import marks_stub
from brainrouter.wire.field_checks import AnyObject
from brainrouter.wire.plain import read_plain
from brainrouter.wire.progress import CUT_SHORT


class Facts(msgspec.Struct, frozen=True):
    """`empty` is true when the assistant said nothing and called nothing."""

    model: str | None = None
    finish: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    empty: bool = False


class _Message(msgspec.Struct):
    content: str | None = None
    tool_calls: list[AnyObject] | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    id: str = ""
    model: str | None = None
    usage: Usage | None = None
    error: msgspec.Raw | None = None


_COMPLETION = msgspec.json.Decoder(_Completion)


def plain_facts(dialect: Dialect, body: bytes) -> Facts | None:
    """What `facts_of` says of a chat completion that says something and has nothing odd about it; None for all else."""
    answer = read_plain(body, _COMPLETION) if dialect == "chat" else None
    if answer is None or not answer.choices or answer.error is not None:
        return None
    said = answer.choices[0].message
    if not (said.content or said.tool_calls) or marks_stub(answer.model, answer.id, said.content or ""):
        return None
    usage = answer.usage
    return Facts(
        answer.model,
        answer.choices[0].finish_reason,
        usage and usage.prompt_tokens,
        usage and usage.completion_tokens,
        usage and usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens,
    )


def facts_of(dialect: Dialect, head: dict[str, Any]) -> Facts:
    """Read a whole answer of `dialect`. Never raises: a field of another shape is as good as absent."""
    usage = _object(head.get("usage"))
    details = _object(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"))
    finish, empty = _ENDS[dialect](head)
    prompt = _count(usage.get("prompt_tokens", usage.get("input_tokens")))
    if prompt is not None and dialect == "messages":
        # This dialect counts the cached part beside the prompt, not in it.
        beside = ("cache_read_input_tokens", "cache_creation_input_tokens")
        prompt += sum(_count(usage.get(name)) or 0 for name in beside)
    return Facts(
        model=_text(head.get("model")),
        finish=finish,
        prompt_tokens=prompt,
        completion_tokens=_count(usage.get("completion_tokens", usage.get("output_tokens"))),
        cached_tokens=_count(details.get("cached_tokens", usage.get("cache_read_input_tokens"))),
        empty=empty and finish not in CUT_SHORT,
    )


def _chat_end(head: dict[str, Any]) -> tuple[str | None, bool]:
    choices = _objects(head.get("choices"))
    messages = [_object(choice.get("message")) for choice in choices]
    said = any(_said(message) for message in messages)
    return (_text(choices[0].get("finish_reason")) if choices else None), not said


def _said(message: dict[str, Any]) -> bool:
    fields = ("content", "tool_calls", "function_call", "refusal", "audio")
    return any(message.get(field) for field in fields)


def _messages_end(head: dict[str, Any]) -> tuple[str | None, bool]:
    return _text(head.get("stop_reason")), not head.get("content")


def _responses_end(head: dict[str, Any]) -> tuple[str | None, bool]:
    return _text(head.get("status")), not head.get("output")


_ENDS = {"chat": _chat_end, "messages": _messages_end, "responses": _responses_end}


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [_object(item) for item in cast("list[Any]", value)] if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
