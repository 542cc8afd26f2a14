"""One connection to an upstream: one exchange at a time, bytes pushed to whoever waits."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, cast

import httptools

from brainrouter.http1.errors import Broken, HeadTimeout, IdleTimeout, UpstreamError
from brainrouter.http1.message import Headers

HEAD_BYTES_MAX = 64 * 1024
BUFFER_BYTES_MAX = 256 * 1024  # body bytes held for a slow reader before the upstream is paused
_NO_BODY = frozenset({204, 304})


class Upstream(asyncio.Protocol):
    """A connection that the pool owns. The client calls `send`, then waits on futures that this resolves."""

    __slots__ = (
        "_dirty",
        "_dry",
        "_fresh",
        "_head_only",
        "_interim",
        "_items",
        "_keep",
        "_loop",
        "_on_lost",
        "_parser",
        "_parts",
        "_reading",
        "_until_end",
        "_until_eof",
        "_wait",
        "buffered",
        "complete",
        "deadline",
        "error",
        "headers",
        "key",
        "on_data",
        "span",
        "status",
        "transport",
        "untouched",
        "used",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, key: str, on_lost: Callable[["Upstream"], None]) -> None:
        self.key = key
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._reading = True
        self._wait: asyncio.Future[None] | None = None
        self.error: Exception | None = None
        self.deadline = 0.0
        self.used = 0
        self._parser: Any = None
        self._reset(head_only=False)

    def _reset(self, *, head_only: bool) -> None:
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        self._items: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._head_only = head_only
        self._dirty = self._keep = self._until_end = self._until_eof = self._interim = self._fresh = False
        self._dry = 0
        self.headers: Headers | None = None
        self.status = 0
        self.buffered = 0
        self.complete = False
        self.untouched = True
        self.on_data: Callable[[bytes], None] | None = None
        self.span = 0.0

    # the client calls these

    def send(
        self, pieces: Iterable[bytes], first_byte_s: float, *, head_only: bool
    ) -> "asyncio.Future[None]":
        """Begin an exchange. The future ends with the response's head, or raises UpstreamError."""
        self._reset(head_only=head_only)
        self.used += 1
        self.deadline = self._loop.time() + first_byte_s
        wait = self._wait = self._loop.create_future()
        self.transport.writelines(list(pieces))
        return wait

    def wait(self, span: float, *, until_end: bool) -> "asyncio.Future[None]":
        """A future that ends with the next body bytes, or with the body (`until_end`); IdleTimeout after `span`."""
        self._until_end = until_end
        self.span = span
        self.deadline = self._loop.time() + span
        self._fresh = False
        wait = self._wait = self._loop.create_future()
        return wait

    def take(self) -> bytes:
        """The body bytes that have come so far."""
        parts = self._parts
        if not parts:
            return b""
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self.buffered = 0
        return data

    def pause(self) -> None:
        """Stop reading: the other end of the pipe is full."""
        if self._reading and not self.transport.is_closing():
            self._reading = False
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if not self._reading and not self.transport.is_closing():
            self._reading = True
            self._fresh = True
            self.transport.resume_reading()

    def reusable(self) -> bool:
        """True when the exchange ended cleanly on both sides and the connection may carry another."""
        transport = self.transport
        return (
            self.complete
            and self._keep
            and not self._dirty
            and not transport.is_closing()
            and transport.get_write_buffer_size() == 0
        )

    def rest(self, until: float) -> None:
        """Into the pool until that time."""
        self.resume()
        self._wait = None
        self.deadline = until

    def abort(self) -> None:
        """Close at once, both directions."""
        self._wait = None
        self.transport.abort()

    def sweep(self, now: float) -> None:
        """Hold the deadline of whatever is waited for."""
        if self._wait is None:
            if self.complete and self.deadline and now >= self.deadline:
                self.transport.abort()
        elif self.headers is None:
            if now >= self.deadline:
                self._fail(HeadTimeout("no response head in time"))
        elif self._fresh or not self._reading:
            self._fresh = False
            self.deadline = now + self.span
        elif now >= self.deadline:
            self._fail(IdleTimeout("the upstream went silent"))

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        self._fresh = True
        self.untouched = False
        if self.complete:
            self._stray()
            return
        before_head = self.headers is None
        self._dry += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._parser = None
            if not self.complete:
                self._hand_over()
                self._fail(self.error or Broken(f"not HTTP: {error}"))
                return
            self._dirty = True
        if self._parts or self.complete:
            self._hand_over()
        elif self._dry > HEAD_BYTES_MAX:
            self._fail(Broken("the response head or its framing is too large"))
            return
        if before_head and self.headers is not None:
            self._wake()

    def eof_received(self) -> bool:
        if self._until_eof and not self.complete and self.headers is not None:
            self.complete = True
            self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_lost(self)
        if not self.complete:
            self._fail(Broken(f"the connection ended early: {exc}" if exc else "the connection ended early"))

    # httptools calls these

    def on_message_begin(self) -> None:
        if self.complete:
            self._dirty = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self._items.append((name.lower(), value.rstrip()))

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        parser = self._parser
        status: int = parser.get_status_code()
        if status < 200:
            self._interim = True
            if status == 101:
                self._reject("the upstream wants to switch protocols")
            return
        items = self._items
        self._items = []  # trailers land here and are dropped
        if (
            self._dry > HEAD_BYTES_MAX
            and sum(len(name) + len(value) + 4 for name, value in items) > HEAD_BYTES_MAX
        ):
            self._reject("the response head is too large")
        first = dict(reversed(items))
        coding = first.get(b"transfer-encoding")
        if status > 599 or parser.get_http_version() not in ("1.1", "1.0"):
            self._reject("a status or version that is not HTTP/1.1")
        if coding is not None and coding.lower() != b"chunked":
            self._reject("a transfer-encoding other than chunked")
        bodiless = self._head_only or status in _NO_BODY
        self._until_eof = coding is None and b"content-length" not in first and not bodiless
        self._keep = not self._until_eof and self._keeps_alive(first)
        self.status = status
        self.headers = Headers(items, first)
        if self._head_only:
            self.complete = True
            self._parser = None  # it would wait for the body that a HEAD's answer only announces

    def on_body(self, data: bytes) -> None:
        if not self.complete:
            self._parts.append(data)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
            self._items = []
        elif self.headers is not None:
            self.complete = True

    # inside

    def _keeps_alive(self, first: dict[bytes, bytes]) -> bool:
        if self._parser.get_http_version() == "1.0":
            return first.get(b"connection", b"").lower() == b"keep-alive"
        return b"close" not in first.get(b"connection", b"").lower()

    def _reject(self, why: str) -> None:
        self.error = Broken(why)
        raise self.error

    def _stray(self) -> None:
        """Bytes after a whole answer: whoever sent them cannot be trusted with another request."""
        self._dirty = True
        if self._wait is None:
            self.transport.abort()

    def _hand_over(self) -> None:
        """Give what one read brought to the waiter: pushed, or kept for it."""
        on_data = self.on_data
        if self._parts:
            self._dry = 0
            if on_data is None:
                self.buffered = sum(map(len, self._parts))
                if self.buffered > BUFFER_BYTES_MAX:
                    self.pause()
            else:
                try:
                    on_data(self.take())
                except Exception as error:
                    self._fail(error)
                    return
        if self.headers is not None and (self.complete or not self._until_end):
            self._wake()

    def _wake(self) -> None:
        wait, self._wait = self._wait, None
        if wait is not None and not wait.done():
            wait.set_result(None)

    def _fail(self, error: Exception) -> None:
        wait, self._wait = self._wait, None
        if self.error is None:
            self.error = error
        if wait is not None and not wait.done():
            wait.set_exception(self.error)
        self.transport.abort()


def closed(link: Upstream) -> UpstreamError:
    """The error of a call on a connection that has ended."""
    return link.error if isinstance(link.error, UpstreamError) else Broken("the response is closed")
