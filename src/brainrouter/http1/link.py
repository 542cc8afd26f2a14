"""One connection to an upstream: one exchange at a time, bytes pushed to whoever waits for them."""

import asyncio
from collections.abc import Callable
from math import inf
from typing import cast

from brainrouter.http1.errors import Broken, HeadTimeout, IdleTimeout, OverTime
from brainrouter.http1.known_answer import KnownAnswers
from brainrouter.http1.limits import WRITE_AT_ONCE
from brainrouter.http1.message import OnData
from brainrouter.http1.response_reader import ResponseReader

BUFFER_BYTES_MAX = 256 * 1024  # body bytes held for a slow reader before the upstream is paused


class Link(asyncio.Protocol):
    """A connection of the pool. `send`, then wait on the futures; one waiter at a time.

    `error` is set once the exchange cannot go on; the transport is closed by then. Deadlines are held by `sweep`, so
    that no chunk pays for a timer.
    """

    __slots__ = (
        "_deadline", "_end", "_fresh", "_loop", "_on_lost", "_reading", "_sent", "_span", "_until_end", "_wait",
        "error", "key", "on_data", "reader", "transport", "untouched",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, key: str, on_lost: Callable[["Link"], None], heads: KnownAnswers) -> None:
        self.key = key
        self.reader = ResponseReader(heads)
        self.error: Exception | None = None
        self.on_data: OnData | None = None
        self.untouched = True  # no byte of this answer has come
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._reading = True
        self._wait: asyncio.Future[None] | None = None
        self._until_end = self._fresh = False
        self._deadline = self._span = self._sent = 0.0
        self._end = inf

    # the client and its responses call these

    def send(
        self, pieces: list[bytes | memoryview], first_byte_s: float, total_s: float, *, head_only: bool
    ) -> "asyncio.Future[None]":
        """Begin an exchange. The future ends with the response's head, or raises UpstreamError."""
        if self.transport.is_closing():
            message = "the connection was closed before the request could be sent"
            raise Broken(message)
        self.transport.writelines(pieces)
        # The upstream need not wait for what is left to do; nothing of its answer is read before the loop goes on.
        self.reader.restart(head_only=head_only)
        self.untouched = True
        self._sent = self._loop.time()
        self._deadline = self._sent + first_byte_s
        self._end = self._sent + total_s
        wait = self._wait = self._loop.create_future()
        return wait

    @property
    def since_sent(self) -> float:
        """Seconds since the request was sent."""
        return self._loop.time() - self._sent

    @property
    def head(self) -> dict[str, str]:
        """The header lines of the answer, as its reader has them, once `send` has ended."""
        headers = self.reader.headers
        assert headers is not None
        return headers

    def wait(self, span: float, *, until_end: bool) -> "asyncio.Future[None]":
        """A future that ends with the next body bytes, or with the body (`until_end`); IdleTimeout after `span`."""
        self._until_end = until_end
        self._span = span
        self._deadline = self._loop.time() + span
        self._fresh = False
        wait = self._wait = self._loop.create_future()
        return wait

    def allow_for(self, span: float) -> None:
        """The exchange may take so long from now on, in all; whoever still waits then gets OverTime."""
        self._end = self._loop.time() + span

    def take(self) -> bytes:
        """The body bytes that have come and were not taken yet."""
        parts = self.reader.parts
        if not parts:
            return b""
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        return data

    def pause(self) -> None:
        """Stop reading: whoever takes the bytes is full."""
        if self._reading and not self.transport.is_closing():
            self._reading = False
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if not self._reading and not self.transport.is_closing():
            self._reading = self._fresh = True
            self.transport.resume_reading()

    @property
    def reusable(self) -> bool:
        """True when the exchange ended cleanly on both sides and the connection may carry another."""
        reader = self.reader
        if not (reader.complete and reader.reusable) or self.transport.is_closing():
            return False
        return self.transport.get_write_buffer_size() == 0

    def rest(self, span: float) -> None:
        """Into the pool, for so long at most."""
        self.resume()
        self._deadline = self._loop.time() + span

    def abort(self) -> None:
        """Close at once, both directions."""
        self.transport.abort()

    def sweep(self, now: float) -> None:
        """Hold the deadline of whatever is waited for."""
        if self._wait is None:
            if self.reader.complete and self.error is None and now >= self._deadline > 0.0:
                self.transport.abort()
        elif now >= self._end:
            self._fail(OverTime("the exchange took too long in all"))
        elif self.reader.headers is None:
            if now >= self._deadline:
                self._fail(HeadTimeout("no whole response head in time"))
        elif self._fresh or not self._reading:
            self._fresh = False
            self._deadline = now + self._span
        elif now >= self._deadline:
            self._fail(IdleTimeout("the upstream went silent"))

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass
        self.transport.set_write_buffer_limits(WRITE_AT_ONCE)

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer; without a question the connection is closed."""
        self._fresh = True
        reader = self.reader
        on_data = self.on_data
        if on_data is not None and (chunk := reader.one_chunk(data)):
            self._give(on_data, chunk, data)
            return
        self.untouched = False
        waits_for_head = reader.headers is None
        if reader.complete:
            reader.feed(data)
            if self._wait is None:
                self.transport.abort()
            return
        try:
            reader.feed(data)
        except Broken as error:
            if waits_for_head and reader.headers is not None:
                self._wake()  # the head is good; its reader finds the break
            self._push()
            self._fail(error)
            return
        if reader.parts:
            self._push()
        if reader.complete or (reader.headers is not None and (waits_for_head or not self._until_end)):
            self._wake()

    def eof_received(self) -> bool:
        """The upstream ends the connection."""
        self.reader.eof()
        if self.reader.complete:
            self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._on_lost(self)
        if not self.reader.complete:
            self._fail(Broken(f"the connection ended early: {exc}" if exc else "the connection ended early"))

    # inside

    def _push(self) -> None:
        """Give what one read brought to the pipe, in one piece; without one keep it, within bounds."""
        on_data = self.on_data
        if on_data is None:
            if sum(map(len, self.reader.parts)) > BUFFER_BYTES_MAX:
                self.pause()
            return
        data = self.take()
        if data:
            self._give(on_data, data, b"")

    def _give(self, on_data: OnData, data: bytes, framed: bytes) -> None:
        try:
            on_data(data, framed)
        except Exception as error:
            self._fail(error)

    def _wake(self) -> None:
        wait, self._wait = self._wait, None
        if wait is not None and not wait.done():
            wait.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self.error is None:
            self.error = error
        wait, self._wait = self._wait, None
        if wait is not None and not wait.done():
            wait.set_exception(self.error)
        self.transport.abort()
