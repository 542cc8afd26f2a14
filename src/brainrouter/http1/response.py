"""The answer of an upstream, read one of three ways."""

from typing import Protocol

from brainrouter.http1.errors import Broken, TooLarge
from brainrouter.http1.link import Link
from brainrouter.http1.message import OnData, Sink


class Pool(Protocol):
    """Where a connection goes back to."""

    def release(self, link: Link) -> None:
        """Keep it when it may carry another exchange, else cut it now."""
        ...


class Response:
    """An answer whose head has come. Read it one way (read, chunk or pipe), then close it, always (`finally`).

    `headers` are those of the link's reader.
    """

    __slots__ = ("_closed", "_link", "_pool", "headers", "status")

    def __init__(self, pool: Pool, link: Link, headers: dict[str, str]) -> None:
        self._pool = pool
        self._link = link
        self._closed = False
        self.status = link.reader.status
        self.headers = headers

    async def chunk(self, idle_s: float) -> bytes:
        """The next body bytes; b"" once the body is whole. Raises IdleTimeout or Broken."""
        while True:
            link = self._open()
            data = link.take()
            if data:
                link.resume()
                return data
            if link.reader.complete:
                return b""
            if link.error is not None:
                raise link.error
            await link.wait(idle_s, until_end=False)

    def at_hand(self, limit: int) -> bytes | None:
        """The body, when it has come whole with its head and nothing of it was read; None says to `read`."""
        link = self._open()
        if not link.reader.complete:
            return None
        data = link.take()
        if len(data) > limit:
            raise _too_large(limit)
        return data

    async def read(self, limit: int, idle_s: float) -> bytes:
        """The whole body. Raises TooLarge past `limit` bytes, IdleTimeout, Broken."""
        data = self.at_hand(limit)
        if data is not None:
            return data
        link = self._open()
        if link.reader.announced > limit:
            raise _too_large(limit)
        body = bytearray()

        def keep(data: bytes, _framed: bytes) -> None:
            if len(body) + len(data) > limit:
                raise _too_large(limit)
            body.extend(data)

        await self.pipe(keep, None, idle_s)
        return bytes(body)

    async def pipe(self, on_data: OnData, sink: Sink | None, idle_s: float) -> None:
        """Push the body into `on_data` as it arrives, with no task switch between; returns at its end.

        One call of `on_data` holds all that one read of the socket brought. While `sink` is paused the upstream is not
        read and its silence is not counted. What `on_data` raises ends the exchange and is raised here. Raises
        IdleTimeout and Broken, after `on_data` saw every byte before them.
        """
        link = self._open()
        data = link.take()
        if data:
            on_data(data, b"")
        if link.reader.complete:
            return
        if link.error is not None:
            raise link.error
        link.on_data = on_data
        if sink is not None:
            sink.on_pause, sink.on_resume = link.pause, link.resume
        if sink is not None and sink.paused:
            link.pause()
        else:
            link.resume()
        try:
            await link.wait(idle_s, until_end=True)
        finally:
            link.on_data = None
            if sink is not None:
                sink.on_pause = sink.on_resume = None

    def allow_for(self, span: float) -> None:
        """The answer may take so long from now on, in all; after that, reading it raises OverTime."""
        self._link.allow_for(span)

    def close(self) -> None:
        """Give the connection back when the body was read whole, else cut it now. Safe to call twice."""
        if not self._closed:
            self._closed = True
            self._pool.release(self._link)

    def _open(self) -> Link:
        if self._closed:
            message = "the response is closed"
            raise Broken(message)
        return self._link


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit} bytes")
