"""An upstream's stream, looked at as it passes: has it begun, what did it say of itself, did it fail?"""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec

from brainrouter.wire.ask import Dialect
from brainrouter.wire.disguise import Disguise, ErrorInfo, disguised, error_message
from brainrouter.wire.progress import Progress, Reader, Usage, begins_with_text, only_goes_on, read_chat
from brainrouter.wire.progress_blocks import read_messages, read_responses
from brainrouter.wire.sse import LINE_MAX_BYTES, EventSplitter, SseOverflow, parse_event, plain_data

LOADING = b": loading\n\n"

_READERS: dict[Dialect, Reader] = {"chat": read_chat, "messages": read_messages, "responses": read_responses}
_JSON = msgspec.json.Decoder()
_STREAMED = {"content-type": "text/event-stream"}
_BARE_JSON = re.compile(rb"(?:^|[\r\n])\{")
_CHUNK_NAMES = ("id", "object", "model")


class StreamFailure(msgspec.Struct, frozen=True):
    """What broke a stream.

    `kind` is error_event, stub, raw_error, malformed, overflow, context_too_long, empty or truncated.
    """

    kind: str
    message: str
    code: str | None = None
    status: int | None = None
    info: ErrorInfo | None = None
    disguise: Disguise | None = None


class StreamWatch:
    """One upstream stream. Feed it every chunk and pass on what it returns: never any part of a failure.

    `failure` is final: from then on nothing is passed, so that the caller may end the stream in its own words.
    `seen` is how far the answer has come; read it, never write.
    """

    def __init__(self, dialect: Dialect, *, local: bool) -> None:
        self.failure: StreamFailure | None = None
        self._dialect: Dialect = dialect
        self._read = _READERS[dialect]
        self.seen = Progress()
        self._steady = False  # what comes now is most likely more of the same text
        self._split = EventSplitter()
        self._loading = local and dialect == "chat"
        self._first = True
        self._heard = False

    @property
    def begun(self) -> bool:
        """A real event was seen: text, a tool call, reasoning, or an end that is not empty."""
        return self.seen.begun

    @property
    def complete(self) -> bool:
        """The dialect's terminal event was seen; for chat also a finish reason before the end of the stream."""
        return self.seen.complete

    @property
    def response(self) -> tuple[str | None, int]:
        """The id that a response gave itself, and how many events it sent so far."""
        return self.seen.response_id, self.seen.events

    @property
    def model(self) -> str | None:
        """The model that the upstream says answers."""
        return self.seen.model

    @property
    def finish(self) -> str | None:
        """Why the answer ended, in the upstream's word."""
        return self.seen.finish

    @property
    def usage(self) -> Usage | None:
        """The tokens that the upstream counted, if it told."""
        return self.seen.usage

    @property
    def timings(self) -> dict[str, Any] | None:
        """llama.cpp's own figures, if it told."""
        return self.seen.timings

    def feed(self, data: bytes) -> bytes:
        """The bytes to pass on for this chunk: whole events only, the same object when nothing changed."""
        if self.failure is not None:
            return b""
        if not self._split.waiting and len(data) <= LINE_MAX_BYTES:
            plain = plain_data(data)
            if plain is not None:
                if self._steady:
                    if only_goes_on(plain):
                        return data
                    self._steady = False
                return self._note(data, plain)
        try:
            events = self._split.feed(data)
        except SseOverflow as over:
            passed = self._pass(over.events)
            self._fail("overflow", str(over))
            return passed
        passed = self._pass(events)
        return data if passed == data else passed

    def end(self) -> bytes:
        """At the end of the stream: settles `complete` and `failure`; returns what is left to pass on."""
        rest = self._split.end().strip(b"\r\n")
        passed = b""
        if self.failure is None and _may_be_whole(rest):
            passed = self._look(rest + b"\n\n")
            if self.failure is not None and self.failure.kind == "malformed" and self._heard:
                self.failure = None
        seen = self.seen
        if self._dialect == "chat" and seen.ended:
            seen.complete = True
        if self.failure is None and not seen.complete:
            if self._heard:
                self._fail("truncated", "the stream ended before the answer did")
            else:
                self._fail("empty", "the stream ended without an answer")
        return passed

    def _pass(self, events: list[bytes]) -> bytes:
        passed: list[bytes] = []
        for raw in events:
            passed.append(self._look(raw))
            if self.failure is not None:
                break
        return b"".join(passed)

    def _look(self, raw: bytes) -> bytes:
        """Note what a raw event says. Returns what to pass on of it: all, a heartbeat in its place, or nothing."""
        data = plain_data(raw)
        if data is None:
            data = parse_event(raw).data
            bare = _BARE_JSON.search(raw)
            if bare:
                self._fail_bare(raw[bare.end() - 1 :])
                return b""
            if data is None:
                return raw
        return self._note(raw, data)

    def _note(self, raw: bytes, data: bytes) -> bytes:
        """The same of a raw event and its data."""
        if data[:6] == b"[DONE]" and self._dialect != "chat":
            return raw
        if self._first and self._dialect == "chat" and begins_with_text(data, self.seen):
            self._first, self._heard, self._steady = False, True, self.seen.answered
            return raw
        try:
            if not data.isascii():
                data.decode()
            if self._first and self._look_first(data):
                return LOADING
            answered = self.seen.answered
            info = self._read(data, self.seen) if self.failure is None else None
        except (ValueError, RecursionError) as wrong:
            self._fail("malformed", f"an event of the stream is not valid: {wrong}")
            return b""
        if info is not None:
            self._fail_with("error_event", info)
        elif self.seen.ended and self.seen.empty:
            self._fail("empty", "the answer holds neither text nor a tool call")
        if self.failure is not None:
            return b""
        if self.seen.answered and not answered:
            self._steady = self._dialect == "chat"
        return raw

    def _look_first(self, data: bytes) -> bool:
        """The first data of the stream: a llama-swap loading delta (True), a disguised failure, or an answer."""
        self._heard = True
        if data.startswith(b"[DONE]"):
            return False
        first = _JSON.decode(data)
        if not isinstance(first, dict):
            raise ValueError("a JSON object was expected")
        fields = cast("dict[str, Any]", first)
        if self._loading and _is_loading(fields):
            self._heard = False
            return True
        self._first = False
        if not fields.get("error"):
            found = disguised(200, _STREAMED, fields, self._dialect)
            if found:
                kind = "stub" if found.sign == "stub" else "malformed"
                self.failure = StreamFailure(kind, found.message, found.code, disguise=found)
        return False

    def _fail_bare(self, bare: bytes) -> None:
        """llama-swap appends its error to a begun stream as a bare JSON line: not a field, so not SSE."""
        if b'"error"' in bare:
            self._fail_with("raw_error", error_message(bare.strip()))
        else:
            self._fail("malformed", "the stream holds JSON that is no event")

    def _fail_with(self, kind: str, info: ErrorInfo) -> None:
        message = info.message or "the upstream sent an error without words"
        kind = "context_too_long" if info.overflow else kind
        self.failure = StreamFailure(kind, message, info.code, info.status, info)

    def _fail(self, kind: str, message: str) -> None:
        self.failure = self.failure or StreamFailure(kind, message)


def _may_be_whole(rest: bytes) -> bool:
    """Whether what was left at the end may be an event that only lacks its blank line, or a bare error."""
    return parse_event(rest).data is not None or _BARE_JSON.search(rest) is not None


def _is_loading(chunk: dict[str, Any]) -> bool:
    """No name at all, and nothing but reasoning: what llama-swap sends while it loads a model."""
    choices = chunk.get("choices")
    if any(name in chunk for name in _CHUNK_NAMES) or not isinstance(choices, list):
        return False
    rows = cast("list[Any]", choices)
    return bool(rows) and all(map(_only_reasons, rows))


def _only_reasons(choice: Any) -> bool:
    delta = cast("dict[str, Any]", choice).get("delta") if isinstance(choice, dict) else None
    return isinstance(delta, dict) and list(cast("dict[str, Any]", delta)) == ["reasoning_content"]
