"""A chat answer on its way back to a caller of another dialect: bytes of a chat stream in, the caller's events out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

import msgspec

from brainrouter.wire.blocks import Block, Blocks
from brainrouter.wire.chat_chunk import Chunk, Usage, chunk_of, first_choice, read_chunk, usage_in
from brainrouter.wire.error_body import error_frame
from brainrouter.wire.sse import EventSplitter, parse_event, plain_data

_BEAT_EVERY = 16  # hidden pieces of reasoning to one sign of life


class Stamp(msgspec.Struct, frozen=True):
    """What an answer is named by: a token no other answer has, when it was made (Unix seconds), who answers."""

    token: str
    created: int
    model: str


class Telling(Protocol):
    """What says to the caller, in its dialect, what an upstream's stream says."""

    def feed(self, data: bytes) -> bytes:
        """The caller's bytes for whole events of the stream."""
        ...

    def end(self) -> bytes:
        """The bytes that complete the answer."""
        ...

    def broken(self, *, status: int, message: str, kind: str) -> bytes:
        """What ends the answer in place of `end` when the upstream broke off."""
        ...


class Inward(ABC):
    """One answer. Feed it whole events of a chat stream and pass on what it returns; `end` gives what is left.

    Give it good chunks only: a stream that failed is ended by `error_frame`, never by `end`.
    Raises BadAnswer when the pieces cannot be put together.
    """

    def __init__(self, stamp: Stamp, *, hide_thinking: bool) -> None:
        self._stamp = stamp
        self._model = stamp.model
        self._hide_thinking = hide_thinking
        self._hidden = 0
        self._blocks = Blocks(self._opened, self._grew, self._closed)
        self._split = EventSplitter()
        self._out: list[bytes] = []
        self._started = False
        self._ended = False
        self._finish: str | None = None
        self._stop_sequence: str | None = None
        self._usage = Usage()

    def feed(self, data: bytes) -> bytes:
        """The caller's events for these bytes. Comments pass as they are."""
        plain = None if self._split.waiting else plain_data(data)
        if plain is not None:  # one event: that is how a paced stream comes
            self._told(plain)
            return self._flush()
        for raw in self._split.feed(data):
            content = plain_data(raw)
            if content is None:
                content = parse_event(raw).data
                if content is None:
                    self._out.append(raw)
                    continue
            self._told(content)
        return self._flush()

    def end(self) -> bytes:
        """The events that complete the answer, if they were not sent yet."""
        rest = self._split.end()
        if rest:
            self.feed(rest + b"\n\n")
        self._end()
        return self._flush()

    def broken(self, *, status: int, message: str, kind: str) -> bytes:
        """What ends the answer in place of `end` when the upstream broke off."""
        return error_frame("messages", status=status, message=message, kind=kind)

    def whole(self, completion: object) -> bytes:
        """A whole chat completion (decoded) as the caller's whole answer."""
        chunk = chunk_of(completion)
        choice = first_choice(chunk)
        if choice is not None:
            choice.delta, choice.message = choice.message, None
        self.take(chunk)
        self._end()
        self._out.clear()
        return self._document()

    def take(self, chunk: Chunk) -> None:
        """Note what a chunk says."""
        if not self._started:
            self._started = True
            self._model = chunk.model or self._model
            self._begin()
        usage = usage_in(chunk)
        if usage is not None:
            self._usage = usage
        choice = first_choice(chunk)
        if choice is None or self._ended:
            return
        delta = choice.delta
        if delta is not None:
            if self._hide_thinking and (delta.reasoning_content or delta.reasoning):
                delta.reasoning_content = delta.reasoning = None
                if self._hidden % _BEAT_EVERY == 0:
                    self._out.append(self._heartbeat())
                self._hidden += 1
            self._blocks.take(delta)
        if choice.finish_reason:
            self._finish = choice.finish_reason
            if isinstance(choice.stop_reason, str):
                self._stop_sequence = choice.stop_reason

    def _told(self, content: bytes) -> None:
        if content.startswith(b"[DONE]"):
            self._end()
        else:
            self.take(read_chunk(content))

    def _end(self) -> None:
        if self._ended:
            return
        if not self._started:
            self._started = True
            self._begin()
        self._blocks.end()
        self._ended = True
        self._complete()

    def _flush(self) -> bytes:
        out = self._out
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    @abstractmethod
    def _begin(self) -> None:
        """The answer starts."""

    @abstractmethod
    def _opened(self, block: Block) -> None:
        """A block starts; no other is open."""

    @abstractmethod
    def _grew(self, block: Block, piece: str) -> None:
        """A piece of the open block."""

    @abstractmethod
    def _closed(self, block: Block) -> None:
        """The open block is whole."""

    @abstractmethod
    def _complete(self) -> None:
        """Every block is closed: the answer ends."""

    @abstractmethod
    def _heartbeat(self) -> bytes:
        """Something for the client to hear while the model thinks unseen."""

    @abstractmethod
    def _document(self) -> bytes:
        """The finished answer in one piece."""
