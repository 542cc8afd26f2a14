"""The body of one streamed reply, on the server's side."""

import asyncio
from collections.abc import Callable

from brainrouter.http1.errors import ClientGone
from brainrouter.http1.framing import JOIN_BELOW, LAST_CHUNK

FAIR_BYTES = 256 * 1024  # a producer that never waits gives the loop to the others after so much


class StreamSink:
    """Frames what is written and hands it to the transport at once; the head leaves with the first piece."""

    __slots__ = (
        "_chunked",
        "_fair",
        "_head",
        "_open",
        "_paused",
        "_transport",
        "_waiters",
        "on_pause",
        "on_resume",
        "written",
    )

    def __init__(self, transport: asyncio.Transport, head: bytes, *, chunked: bool, paused: bool) -> None:
        self._transport = transport
        self._head = head
        self._chunked = chunked
        self._paused = paused
        self._open = True
        self._fair = FAIR_BYTES
        self.written = (
            0  # body bytes so far; 0 means that the head has not left, and another answer is possible
        )
        self._waiters: list[asyncio.Future[None]] = []
        self.on_pause: Callable[[], None] | None = None
        self.on_resume: Callable[[], None] | None = None

    @property
    def paused(self) -> bool:
        """True while the client reads slower than we write."""
        return self._paused

    def write(self, data: bytes, framed: bytes = b"") -> None:
        """Send `data` as one chunk: in the framing of `framed` where that can be. Raises ClientGone when the client
        left or the stream has ended."""
        if not self._open:
            raise ClientGone
        size = len(data)
        if size == 0:
            return
        self.written += size
        head = self._head
        if framed and not head and self._chunked:
            self._transport.write(framed)
            return
        if not self._chunked:
            self._transport.write(head + data if head else data)
        elif size < JOIN_BELOW:
            self._transport.write(b"%b%x\r\n%b\r\n" % (head, size, data))
        else:
            self._transport.writelines((b"%b%x\r\n" % (head, size), data, b"\r\n"))
        self._head = b""

    async def drain(self) -> None:
        """Wait while paused; raises ClientGone if the client leaves meanwhile. Lets others run now and then."""
        if not self._open:
            raise ClientGone
        if self._paused:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        elif self.written > self._fair:
            self._fair = self.written + FAIR_BYTES
            await asyncio.sleep(0)

    # For the connection only.

    def pause(self) -> None:
        """The transport's buffer is full."""
        self._paused = True
        if self.on_pause is not None:
            self.on_pause()

    def resume(self) -> None:
        """The transport's buffer has room again."""
        self._paused = False
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        if self.on_resume is not None:
            self.on_resume()

    def finish(self) -> None:
        """The body is whole: say so on the wire."""
        if self._open:
            self._open = False
            tail = LAST_CHUNK if self._chunked else b""
            if self._head or tail:
                self._transport.write(self._head + tail)
            self._head = b""

    def shut(self) -> None:
        """The client is gone, or the answer is given up: wake whoever waits."""
        self._open = False
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(ClientGone())
