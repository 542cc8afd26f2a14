"""A local model that asks for tools which wait: its rounds with us, unseen by the harness, inside one answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from brainrouter.adapters.stream_piece import Count
from brainrouter.adapters.upstream import LiveStream, Peek, Sink, Upstream, Whole
from brainrouter.policy import failure as kinds
from brainrouter.policy.failure import Failure
from brainrouter.policy.lean.deferral import Deferral
from brainrouter.policy.lean.unwrap import Unwrap
from brainrouter.policy.outgoing import Outgoing, after_search
from brainrouter.wire.ask import Dialect
from brainrouter.wire.chat_chunk import BadAnswer
from brainrouter.wire.error_body import error_frame
from brainrouter.wire.inward import Inward
from brainrouter.wire.watch import StreamWatch
from brainrouter.wire.whole import facts_of

ROUNDS_MAX = 4  # answers of the model in which it may ask; in the next it must answer
_BEAT = b": looking for a tool\n\n"


class ToolRounds:
    """An upstream that answers the calls of our own tools itself. Used like an Upstream, for one answer. `searched` is
    called for each round.

    What fails before the harness was told anything is raised, so that another attempt may follow.
    """

    def __init__(self, upstream: Upstream, deferral: Deferral, searched: Callable[[], None]) -> None:
        self._upstream = upstream
        self._deferral = deferral
        self._searched = searched

    async def whole(self, out: Outgoing, inward: Inward | None = None) -> Whole:
        """Ask for a whole answer. Raises Failure."""
        unwrap = Unwrap(self._deferral)
        for left in range(ROUNDS_MAX, -1, -1):
            answer = await self._upstream.whole(out)
            head = unwrap.whole(answer.document)
            if head is not None:
                return _whole(answer, head, inward)
            if unwrap.spent:
                break
            self._searched()
            out = after_search(out, unwrap.said, unwrap.asked)
            unwrap.again(last=left == 1)
        raise _spent()

    async def stream(
        self, out: Outgoing, inward: Inward | None = None, peek: Peek | None = None
    ) -> RoundsStream:
        """Open a stream and wait until there is something for the harness to hear. Raises Failure."""
        told = _Told(Unwrap(self._deferral), inward, peek, self._searched)
        unwrap = told.unwrap
        for left in range(ROUNDS_MAX, -1, -1):
            live = await self._upstream.stream(out, told, told.look)
            if not unwrap.asked and not unwrap.spent:
                return RoundsStream(self._upstream, live, out, left, told)
            live.close()
            if unwrap.spent:
                break
            out = told.again(out, last=left == 1)
        raise _spent()


class _Told:
    """What the harness is told of the model's answers: stands where a translator of one answer does."""

    def __init__(
        self, unwrap: Unwrap, inward: Inward | None, peek: Peek | None, searched: Callable[[], None]
    ) -> None:
        self.unwrap = unwrap
        self._searched = searched
        self._inward = inward
        self._peek = peek
        self._seen = 0  # bytes of what is held that were fed already
        self._told = b""  # and what they said

    def look(self, held: bytes) -> bool:
        """Whether what is `held` of a stream is to be held longer: until there is something to hear, or it is over."""
        try:
            self._told += self.unwrap.feed(held[self._seen :])
        except BadAnswer as bad:
            raise _malformed(bad) from bad
        self._seen = len(held)
        wanted = self._peek is not None and self._peek(held)
        return wanted or not (self.unwrap.visible or self.unwrap.over)

    def again(self, out: Outgoing, *, last: bool) -> Outgoing:
        """The model's next answer follows: what to ask it with."""
        self._searched()
        self._seen = 0
        following = after_search(out, self.unwrap.said, self.unwrap.asked)
        self.unwrap.again(last=last)
        return following

    def feed(self, data: bytes) -> bytes:
        """The caller's bytes for the model's. What was held comes first, and once more: it was looked at."""
        fresh = data[self._seen :]
        self._seen = max(0, self._seen - len(data))
        told, self._told = self._told + self.unwrap.feed(fresh), b""
        return told if self._inward is None or not told else self._inward.feed(told)

    def end(self) -> bytes:
        """The model's answer is over, and so is the caller's unless the model asked something."""
        told, self._told = self._told + self.unwrap.end(), b""
        if self._inward is None:
            return told
        told = self._inward.feed(told) if told else b""
        return told if self.unwrap.asked or self.unwrap.spent else told + self._inward.end()

    def broken(self, *, status: int, message: str, kind: str) -> bytes:
        """What ends a broken answer in the caller's dialect."""
        if self._inward is not None:
            return self._inward.broken(status=status, message=message, kind=kind)
        return error_frame("chat", status=status, message=message, kind=kind)


class RoundsStream:
    """A stream that goes on through the model's rounds with us. Used like a LiveStream."""

    def __init__(self, upstream: Upstream, live: LiveStream, out: Outgoing, left: int, told: _Told) -> None:
        self.headers = live.headers
        self._upstream = upstream
        self._live = live
        self._out = out
        self._left = left
        self._told = told
        self.watch = live.watch  # what the model's present answer said of itself

    async def pump(self, sink: Sink, count: Count) -> Failure | None:
        """Send everything to `sink`, and `count` the pieces. Returns what broke the stream, or None."""
        unwrap = self._told.unwrap
        while True:
            failure = await self._live.pump(sink, count)
            if failure is not None:
                return failure
            if not unwrap.asked:
                return _spent() if unwrap.spent else None
            sink.write(_BEAT)
            try:
                await self._ask_again()
            except Failure as failed:
                return failed

    async def _ask_again(self) -> None:
        self._live.close()
        self.watch = StreamWatch("chat", local=True)  # whoever leaves now leaves in the middle
        self._left -= 1
        self._out = self._told.again(self._out, last=self._left == 0)
        self._live = await self._upstream.stream(self._out, self._told)
        self.watch = self._live.watch

    @property
    def mended(self) -> str:
        """What had to be mended in the model's present answer."""
        return self._live.mended

    def error_frame(self, dialect: Dialect, failure: Failure) -> bytes:
        """What ends the stream for a caller of `dialect` when it broke."""
        return self._live.error_frame(dialect, failure)

    def close(self) -> None:
        """Let the upstream go."""
        self._live.close()


def _whole(answer: Whole, head: dict[str, Any], inward: Inward | None) -> Whole:
    said = body = msgspec.json.encode(head)
    facts = facts_of("chat", head)
    if inward is not None:
        try:
            body = inward.whole(head)
        except BadAnswer as bad:
            raise _malformed(bad) from bad
    return Whole(answer.status, answer.headers, body, facts, said, answer.mended)


def _malformed(bad: BadAnswer) -> Failure:
    return Failure(kinds.MALFORMED, f"the local side sent an answer in pieces: {bad}")


def _spent() -> Failure:
    return Failure(kinds.UNFIT_ANSWER, f"the local model looked for tools {ROUNDS_MAX} times and used none")
