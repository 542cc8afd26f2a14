"""A chunk of a chat stream (or a whole completion), read for what it says, however loosely the server writes it."""

from __future__ import annotations

from typing import Any, cast

import msgspec


class BadAnswer(Exception):
    """An upstream's answer that cannot be said in the caller's dialect."""


class Function(msgspec.Struct):
    """A piece of a tool call: `arguments` is part of a JSON text."""

    name: str | None = None
    arguments: str | None = None


class Call(msgspec.Struct):
    """What a delta says of one tool call."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Delta(msgspec.Struct):
    """What a chunk adds to the answer."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None


class Choice(msgspec.Struct):
    """One of the alternatives a server may send; only the first is anybody's."""

    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    index: int | None = None


class PromptDetails(msgspec.Struct):
    """What of the prompt came from a cache."""

    cached_tokens: int | None = None


class CompletionDetails(msgspec.Struct):
    """What of the answer was reasoning."""

    reasoning_tokens: int | None = None


class Usage(msgspec.Struct):
    """Tokens in OpenAI's way of counting: the prompt holds its cached part."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None

    @property
    def cached(self) -> int:
        """Tokens of the prompt that were read from a cache."""
        details = self.prompt_tokens_details
        return (details.cached_tokens or 0) if details else 0

    @property
    def reasoned(self) -> int:
        """Tokens of the answer that were reasoning."""
        details = self.completion_tokens_details
        return (details.reasoning_tokens or 0) if details else 0


class Timings(msgspec.Struct):
    """llama.cpp's own counts, for servers that send no usage."""

    prompt_n: int = 0
    cache_n: int = 0
    predicted_n: int = 0


class Chunk(msgspec.Struct):
    """One event of a chat stream, or a whole completion."""

    choices: list[Choice] | None = None
    model: str | None = None
    usage: Usage | None = None
    timings: Timings | None = None


_CHUNK = msgspec.json.Decoder(Chunk)
_ANY = msgspec.json.Decoder()
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


def read_chunk(data: bytes) -> Chunk:
    """The chunk in an event's data. Raises BadAnswer when it is none."""
    try:
        return _CHUNK.decode(data)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return chunk_of(_ANY.decode(data))
    except (msgspec.DecodeError, RecursionError) as wrong:
        raise BadAnswer(f"a chunk that is not JSON: {wrong}") from None


def chunk_of(value: Any) -> Chunk:
    """The same of decoded JSON, field by field: one of another type counts as not said."""
    fields = _object(value)
    choices = [_choice(_object(item)) for item in _list(fields.get("choices"))]
    return Chunk(
        choices=choices,
        model=_text(fields.get("model")),
        usage=_struct(fields.get("usage"), Usage),
        timings=_struct(fields.get("timings"), Timings),
    )


def first_choice(chunk: Chunk) -> Choice | None:
    """The choice that is the answer; None when the chunk has none."""
    for choice in chunk.choices or ():
        if not choice.index:
            return choice
    return None


def usage_in(chunk: Chunk) -> Usage | None:
    """What a chunk says of tokens, in either way of saying it."""
    usage, timings = chunk.usage, chunk.timings
    if usage is not None and (usage.prompt_tokens or usage.completion_tokens):
        return usage
    if timings is None:
        return None
    details = PromptDetails(timings.cache_n)
    return Usage(timings.prompt_n + timings.cache_n, timings.predicted_n, details)


def _choice(fields: dict[str, Any]) -> Choice:
    stop = fields.get("stop_reason")
    index = fields.get("index")
    return Choice(
        delta=_delta(_object(fields.get("delta"))),
        message=_delta(_object(fields.get("message"))),
        finish_reason=_text(fields.get("finish_reason")),
        stop_reason=stop if isinstance(stop, str) else None,
        index=index if isinstance(index, int) else None,
    )


def _delta(fields: dict[str, Any]) -> Delta:
    said = {name: _words(fields.get(name)) for name in _TEXTS}
    calls = [_call(_object(item)) for item in _list(fields.get("tool_calls"))]
    old = fields.get("function_call")
    return Delta(**said, tool_calls=calls or None, function_call=_function(old) if old else None)


def _call(fields: dict[str, Any]) -> Call:
    index = fields.get("index")
    return Call(
        index if isinstance(index, int) else None, _text(fields.get("id")), _function(fields.get("function"))
    )


def _function(value: Any) -> Function:
    fields = _object(value)
    arguments = fields.get("arguments")
    if arguments is not None and not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    return Function(_text(fields.get("name")), arguments)


def _words(value: Any) -> str | None:
    """Text, or the text among content parts."""
    if isinstance(value, list):
        parts = (_object(part) for part in cast("list[Any]", value))
        return "".join(text for part in parts if isinstance(text := part.get("text"), str))
    return _text(value)


def _struct(value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
