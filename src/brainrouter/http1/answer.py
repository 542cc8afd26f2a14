"""One request being answered: the handler, its reply on the wire, and how it ended."""

import asyncio
from enum import Enum
from typing import Protocol

from brainrouter.http1.errors import ClientGone
from brainrouter.http1.framing import (
    CLOSE,
    CONTINUE,
    JOIN_BELOW,
    KEEP_ALIVE,
    ErrorBody,
    stream_head,
    whole_head,
)
from brainrouter.http1.limits import Limits
from brainrouter.http1.message import Handler, Reply, Request, StreamReply
from brainrouter.http1.sink import StreamSink


class Outcome(Enum):
    """How an answer left the connection."""

    KEEP = 1  # whole; the next request may follow
    CLOSE = 2  # whole; the connection ends
    CUT = 3  # not whole; the client must be able to tell


class House(Protocol):
    """What an answer and its connection need of their server."""

    handler: Handler
    limits: Limits
    error_body: ErrorBody
    lines: bytes
    loop: asyncio.AbstractEventLoop
    draining: bool
    in_flight: int
    held: int


class Line(Protocol):
    """What an answer needs of its connection."""

    paused: bool

    def answered(self, answer: "Answer", outcome: Outcome) -> None:
        """The answer is over. Called exactly once, in its task."""
        ...


class Answer:
    """Runs the handler for one request, and writes what it returns."""

    __slots__ = (
        "_gone",
        "_house",
        "_line",
        "_transport",
        "keep",
        "old",
        "request",
        "sink",
    )

    def __init__(
        self, house: House, line: Line, transport: asyncio.Transport, request: Request, keep: bool, old: bool
    ) -> None:
        self._house = house
        self._line = line
        self._transport = transport
        self._gone = False
        self.request = request
        self.keep = keep
        self.old = old
        self.sink: StreamSink | None = None

    def overloaded(self) -> Outcome:
        """Answer 503 without asking the handler."""
        body, kind = self._house.error_body(503, "too many requests in flight", self.request.path)
        return self._send(Reply(503, body, kind, (("retry-after", "1"),)))

    def abandon(self) -> None:
        """The client is gone: say nothing more."""
        self._gone = True
        if self.sink is not None:
            self.sink.shut()

    def probe(self) -> bool:
        """Write what a gone client answers with a reset and a living one skips; False where nothing fits."""
        if self.old:
            return False
        if self.sink is None or not self.sink.written:
            self._transport.write(CONTINUE)
        elif not self._line.paused:  # else there is something on its way already
            self._transport.write(b"0")  # chunk sizes may have leading zeros
        return True

    async def run(self) -> None:
        """Answer. Tells the line how it ended, also when it is cancelled."""
        outcome = Outcome.CUT
        try:
            if not self._gone:
                reply = await self._house.handler(self.request)
                outcome = self._send(reply) if isinstance(reply, Reply) else await self._stream(reply)
        except ClientGone:
            outcome = Outcome.CUT
        except Exception as error:
            outcome = self._failed(error)
        finally:
            if self.sink is not None:
                self.sink.shut()
            self._line.answered(self, outcome)

    def _send(self, reply: Reply) -> Outcome:
        keep = self.keep and not reply.close and not self._house.draining
        after = (KEEP_ALIVE if self.old else b"") if keep else CLOSE
        body = reply.body
        lines = reply.lines + self._house.lines
        head = whole_head(reply.status, reply.content_type, reply.headers, len(body), after, lines)
        if self._gone:
            return Outcome.CUT
        if not body or self.request.method == "HEAD" or reply.status in (204, 304):
            self._transport.write(head)
        elif len(body) < JOIN_BELOW:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        return Outcome.KEEP if keep else Outcome.CLOSE

    async def _stream(self, reply: StreamReply) -> Outcome:
        keep = self.keep and not self.old and not self._house.draining
        after = b"" if keep else CLOSE
        lines = reply.lines + self._house.lines
        head = stream_head(
            reply.status, reply.content_type, reply.headers, after, lines, chunked=not self.old
        )
        if self._gone:
            return Outcome.CUT
        if self.request.method == "HEAD":
            self._transport.write(head)
        else:
            sink = StreamSink(self._transport, head, chunked=not self.old, paused=self._line.paused)
            self.sink = sink
            await reply.produce(sink)
            sink.finish()
        return Outcome.KEEP if keep else Outcome.CLOSE

    def _failed(self, error: Exception) -> Outcome:
        """The handler raised: a 500 when nothing was said yet, else a cut."""
        house = self._house
        house.loop.call_exception_handler({"message": "a request handler failed", "exception": error})
        if self._gone or (self.sink is not None and self.sink.written):
            return Outcome.CUT
        body, kind = house.error_body(500, "internal error", self.request.path)
        return self._send(Reply(500, body, kind, close=True))
