"""How far a streamed answer has come, read from one event's data at a time. One reader a dialect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from brainrouter.wire.disguise import ErrorInfo, error_message, marks_stub
from brainrouter.wire.plain import read_plain

_ABSENT = Raw(b"null")
_NOTHING = frozenset((b"null", b'""', b"[]", b"{}", b"false"))
# An answer that ends for one of these may rightly hold neither text nor a tool call.
CUT_SHORT = frozenset(
    ("length", "content_filter", "max_tokens", "refusal", "pause_turn", "model_context_window_exceeded")
)


class Usage(msgspec.Struct, frozen=True):
    """Tokens as the upstream counted them; None is not told. `prompt` is the whole prompt, cached part included."""

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None


class Progress(msgspec.Struct):
    """What is known of an answer. `answered`: text or a tool call was seen; `begun`: that, reasoning, or an end.

    `response_id` and `events` (how many came) are kept in the responses dialect only, for a failure to be told in it.
    """

    begun: bool = False
    answered: bool = False
    ended: bool = False
    complete: bool = False
    model: str | None = None
    finish: str | None = None
    usage: Usage | None = None
    timings: dict[str, Any] | None = None
    response_id: str | None = None
    events: int = 0

    @property
    def empty(self) -> bool:
        """Whether the answer ended without saying or calling anything, and nothing explains it."""
        return self.ended and not self.answered and self.finish not in CUT_SHORT

    def end(self, finish: str | None) -> None:
        """The answer says that it is over."""
        self.ended = True
        self.finish = finish or self.finish
        self.begun = self.begun or not self.empty


def holds(value: Raw) -> bool:
    """Whether a field is there and is not one of JSON's ways to say nothing."""
    return value is not _ABSENT and bytes(value) not in _NOTHING


class _Delta(msgspec.Struct):
    content: Raw = _ABSENT
    tool_calls: Raw = _ABSENT
    function_call: Raw = _ABSENT
    refusal: Raw = _ABSENT
    audio: Raw = _ABSENT
    reasoning_content: Raw = _ABSENT
    reasoning: Raw = _ABSENT


_NO_DELTA = _Delta()


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None
    text: Raw = _ABSENT


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    error: Raw = _ABSENT
    usage: Raw = _ABSENT
    timings: Raw = _ABSENT
    model: Raw = _ABSENT


class _LateChoice(msgspec.Struct):
    finish_reason: str | None = None


class _LateChunk(msgspec.Struct):
    """A chunk once text was seen: what it says no longer matters, only how it ends."""

    choices: list[_LateChoice] | None = None
    error: Raw = _ABSENT
    usage: Raw = _ABSENT
    timings: Raw = _ABSENT


class _FirstDelta(msgspec.Struct):
    content: str | None = None
    tool_calls: None = None
    function_call: None = None
    refusal: None = None
    audio: None = None
    reasoning_content: None = None
    reasoning: None = None


class _FirstChoice(msgspec.Struct):
    delta: _FirstDelta
    finish_reason: None = None
    text: None = None
    message: None = None


class _FirstChunk(msgspec.Struct):
    """How a chat answer begins that says its text, or nothing yet, and that nothing is odd about."""

    choices: list[_FirstChoice]
    id: str
    model: str | None = None
    error: None = None
    usage: None = None
    timings: None = None


class _MoreOfIt(msgspec.Struct):
    finish_reason: None = None


class _More(msgspec.Struct):
    """A chunk that says nothing but how the text goes on: it cannot be decoded from any other."""

    choices: list[_MoreOfIt]
    error: None = None
    usage: None = None
    timings: None = None


_FIRST_CHUNK = msgspec.json.Decoder(_FirstChunk)
_MORE = msgspec.json.Decoder(_More)
_CHUNK = msgspec.json.Decoder(_Chunk)
_LATE_CHUNK = msgspec.json.Decoder(_LateChunk)
_ANY_OBJECT = msgspec.json.Decoder(dict[str, Any])


def read_chat(data: bytes, seen: Progress) -> ErrorInfo | None:
    """Note what a chat chunk says. Returns the error it carries; raises ValueError when it is no chunk."""
    if data[:6] == b"[DONE]":
        seen.complete = seen.ended = True
        return None
    chunk = _LATE_CHUNK.decode(data) if seen.answered else _CHUNK.decode(data)
    if chunk.error is not _ABSENT and holds(chunk.error):
        return error_message(data)
    if isinstance(chunk, _Chunk):
        _note_early(chunk, seen)
    for choice in chunk.choices or ():
        if choice.finish_reason == "error":
            return error_message(data)
        if choice.finish_reason:
            seen.end(choice.finish_reason)
    if chunk.usage is not _ABSENT:
        seen.usage = usage_of(chunk.usage, seen.usage)
    if chunk.timings is not _ABSENT and holds(chunk.timings):
        seen.timings = _object(chunk.timings)
    return None


def begins_with_text(data: bytes, seen: Progress) -> bool:
    """Whether a chat answer begins in the usual way, with text or with nothing yet; notes what `read_chat` would.

    False says only that a closer look and `read_chat` must tell, and that nothing was noted.
    """
    first = read_plain(data, _FIRST_CHUNK)
    if first is None or not first.choices:
        return False
    if marks_stub(first.model, first.id, first.choices[0].delta.content or ""):
        return False
    seen.model = first.model
    seen.answered = seen.begun = any(choice.delta.content for choice in first.choices)
    return True


def only_goes_on(data: bytes) -> bool:
    """Whether a chat chunk changes nothing of what `read_chat` would note, text having been seen.

    That is what almost every one of a stream is. False says only that `read_chat` must tell.
    """
    return read_plain(data, _MORE) is not None


def _note_early(chunk: _Chunk, seen: Progress) -> None:
    """What a chunk says while no text and no tool call was seen."""
    if seen.model is None:
        seen.model = _text(chunk.model)
    for choice in chunk.choices or ():
        delta = choice.delta or _NO_DELTA
        said = (delta.content, delta.tool_calls, delta.function_call, delta.refusal, delta.audio, choice.text)
        if any(map(holds, said)):
            seen.answered = seen.begun = True
        elif holds(delta.reasoning_content) or holds(delta.reasoning):
            seen.begun = True


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: Raw = _ABSENT
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: Raw = _ABSENT
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


_USAGE = msgspec.json.Decoder(_Usage | None)
_DETAILS = msgspec.json.Decoder(_Details | None)


def usage_of(raw: Raw, before: Usage | None) -> Usage | None:
    """The counts in a usage object of any dialect, over those told earlier. Odd shapes count as not told."""
    try:
        told = _USAGE.decode(raw)
        details = told and _DETAILS.decode(
            told.prompt_tokens_details if told.input_tokens_details is _ABSENT else told.input_tokens_details
        )
    except ValueError:
        return before
    if told is None:
        return before
    old = before or Usage()
    prompt = told.prompt_tokens if told.prompt_tokens is not None else told.input_tokens
    cached = details.cached_tokens if details else told.cache_read_input_tokens
    if told.input_tokens is not None and not details:
        # The messages dialect counts the cached part beside the prompt, not in it.
        prompt = (
            told.input_tokens + (told.cache_read_input_tokens or 0) + (told.cache_creation_input_tokens or 0)
        )
    completion = told.completion_tokens if told.completion_tokens is not None else told.output_tokens
    return Usage(
        old.prompt if prompt is None else prompt,
        old.completion if completion is None else completion,
        old.cached if cached is None else cached,
    )


def _text(raw: Raw) -> str | None:
    try:
        return msgspec.json.decode(raw, type=str)
    except ValueError:
        return None


def _object(raw: Raw) -> dict[str, Any] | None:
    try:
        return _ANY_OBJECT.decode(raw)
    except (ValueError, RecursionError):
        return None


Reader = Callable[[bytes, Progress], ErrorInfo | None]
