"""The upstream client: a small pool for each origin, one exchange on a connection at a time; follows no redirects."""

import asyncio
import ssl
from collections.abc import Callable

from brainrouter.http1.errors import Broken, ConnectFailed, TooLarge
from brainrouter.http1.message import HeaderLines, Headers, Sink
from brainrouter.http1.origin import Origin
from brainrouter.http1.upstream import Upstream, closed

__all__ = ["Client", "Origin", "Response"]

STALE_S = (
    1.0  # a pooled connection that dies this soon, without a byte, had died before: the request may go again
)
TICK_S = 0.1
IDLE_TICK_S = 1.0


class Response:
    """An answer whose head has come. Read it one way (read, chunk or pipe), then close it, always (`finally`)."""

    __slots__ = ("_client", "_closed", "_link", "headers", "status")

    def __init__(self, client: "Client", link: Upstream, status: int, headers: Headers) -> None:
        self._client = client
        self._link = link
        self._closed = False
        self.status = status
        self.headers = headers

    async def chunk(self, idle_s: float) -> bytes:
        """The next body bytes; b"" once the body is whole. Raises IdleTimeout or Broken."""
        link = self._link
        while True:
            self._check_open()
            data = link.take()
            if data:
                link.resume()
                return data
            if link.complete:
                return b""
            if link.error is not None:
                raise link.error
            await link.wait(idle_s, until_end=False)

    async def read(self, limit: int, idle_s: float) -> bytes:
        """The whole body. Raises TooLarge past `limit` bytes, IdleTimeout, Broken."""
        link = self._link
        announced = self.headers.get("content-length")
        if announced is not None and int(announced) > limit and not link.complete:
            raise TooLarge(f"the body is larger than {limit} bytes")
        if link.complete and link.buffered <= limit:
            self._check_open()
            return link.take()
        body = bytearray()

        def keep(data: bytes) -> None:
            if len(body) + len(data) > limit:
                raise TooLarge(f"the body is larger than {limit} bytes")
            body.extend(data)

        await self.pipe(keep, None, idle_s)
        return bytes(body)

    async def pipe(self, on_data: Callable[[bytes], None], sink: Sink | None, idle_s: float) -> None:
        """Push the body into `on_data`, called as bytes arrive, with no task switch between; returns at its end.

        While `sink` is paused the upstream is not read and its silence is not counted. What `on_data` raises ends the
        exchange and is raised here. Raises IdleTimeout and Broken, after `on_data` saw every byte before them.
        """
        self._check_open()
        link = self._link
        data = link.take()
        if data:
            on_data(data)
        if link.complete:
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

    def close(self) -> None:
        """Give the connection back when the body was read whole, else cut it now. Safe to call twice."""
        if not self._closed:
            self._closed = True
            self._client.release(self._link)

    def _check_open(self) -> None:
        if self._closed:
            raise closed(self._link)


class Client:
    """Sends requests to upstreams. Connections are kept for `idle_s`, at most `max_idle_per_origin` of them."""

    def __init__(self, max_idle_per_origin: int = 20, idle_s: float = 20.0, connect_s: float = 3.0) -> None:
        self._max_idle = max_idle_per_origin
        self._idle_s = idle_s
        self._connect_s = connect_s
        self._idle: dict[str, list[Upstream]] = {}
        self._links: set[Upstream] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._tls: ssl.SSLContext | None = None

    @property
    def connections(self) -> int:
        """Open upstream connections, idle ones too."""
        return len(self._links)

    async def request(
        self,
        origin: Origin,
        method: str,
        path: str,
        headers: HeaderLines,
        body: bytes = b"",
        *,
        first_byte_s: float,
    ) -> Response:
        """Send a request and wait for the head of its answer, whatever its status.

        `host` and `content-length` are added; do not give them. The body must be whole. Sent again, once and on a new
        connection, only when a pooled one turns out to have been closed. Raises ConnectFailed, HeadTimeout, Broken.
        """
        pieces = request_pieces(origin, method, path, headers, body)
        loop = asyncio.get_running_loop()
        head_only = method == "HEAD"
        link = self._take(origin.key)
        if link is not None:
            sent = loop.time()
            try:
                return await self._exchange(link, pieces, first_byte_s, head_only=head_only)
            except Broken:
                if not link.untouched or loop.time() - sent > STALE_S:
                    raise
        link = await self._connect(origin)
        return await self._exchange(link, pieces, first_byte_s, head_only=head_only)

    async def close(self) -> None:
        """Cut every connection. Requests under way end with Broken."""
        for link in list(self._links):
            link.transport.abort()
        self._idle.clear()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        await asyncio.sleep(0)

    def release(self, link: Upstream) -> None:
        """Take back a connection after its response; for Response only."""
        if link.reusable():
            idle = self._idle.setdefault(link.key, [])
            if len(idle) < self._max_idle:
                link.rest(asyncio.get_running_loop().time() + self._idle_s)
                idle.append(link)
                return
        link.abort()

    async def _exchange(
        self, link: Upstream, pieces: list[bytes], first_byte_s: float, *, head_only: bool
    ) -> Response:
        try:
            await link.send(pieces, first_byte_s, head_only=head_only)
        except BaseException:
            link.abort()
            raise
        assert link.headers is not None
        return Response(self, link, link.status, link.headers)

    def _take(self, key: str) -> Upstream | None:
        idle = self._idle.get(key)
        while idle:
            link = idle.pop()
            if not link.transport.is_closing():
                return link
        return None

    async def _connect(self, origin: Origin) -> Upstream:
        loop = asyncio.get_running_loop()

        def make() -> Upstream:
            return Upstream(origin.key, self._forget)

        tls = self._context() if origin.scheme == "https" else None
        name = origin.host if tls else None
        try:
            async with asyncio.timeout(self._connect_s):
                if origin.unix is not None:
                    _, link = await loop.create_unix_connection(
                        make, origin.unix, ssl=tls, server_hostname=name
                    )
                else:
                    _, link = await loop.create_connection(
                        make, origin.host, origin.port, ssl=tls, server_hostname=name
                    )
        except TimeoutError:
            raise ConnectFailed(
                f"no connection to {origin.host}:{origin.port} in {self._connect_s:g} s"
            ) from None
        except (OSError, ssl.SSLError, UnicodeError) as error:
            raise ConnectFailed(f"no connection to {origin.host}:{origin.port}: {error}") from error
        self._links.add(link)
        if self._sweeper is None:
            self._sweeper = loop.call_later(TICK_S, self._sweep)
        return link

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _forget(self, link: Upstream) -> None:
        self._links.discard(link)
        idle = self._idle.get(link.key)
        if idle and link in idle:
            idle.remove(link)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for link in list(self._links):
            link.sweep(now)
        idle = sum(map(len, self._idle.values()))
        tick = IDLE_TICK_S if len(self._links) == idle else TICK_S
        self._sweeper = loop.call_later(tick, self._sweep) if self._links else None


def request_pieces(origin: Origin, method: str, path: str, headers: HeaderLines, body: bytes) -> list[bytes]:
    """The bytes of a request. Raises ValueError for what would break its framing."""
    lines = [b"%b: %b\r\n" % line for line in headers]
    length = b"content-length: %d\r\n" % len(body) if body or method not in ("GET", "HEAD") else b""
    start = f"{method} {path} HTTP/1.1\r\nhost: ".encode("ascii")
    head = b"%b%b\r\n%b%b\r\n" % (start, origin.authority, length, b"".join(lines))
    ends = len(lines) + (4 if length else 3)
    low = head.lower()
    if (
        head.count(b"\n") != ends
        or head.count(b"\r") != ends
        or start.count(b" ") != 3
        or path[:1] != "/"
        or low.count(b"\nhost:") != 1
        or low.count(b"\ncontent-length:") != (1 if length else 0)
        or b"\ntransfer-encoding:" in low
    ):
        message = "a request line or header that would break the framing"
        raise ValueError(message)
    return [head, body] if body else [head]
