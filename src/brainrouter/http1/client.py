"""The upstream client: a small pool for each origin, one exchange on a connection at a time; follows no redirects."""

import asyncio
import ssl
from collections import defaultdict
from math import inf

from brainrouter.http1.errors import Broken, ConnectFailed
from brainrouter.http1.framing import request_pieces
from brainrouter.http1.known_answer import KnownAnswers
from brainrouter.http1.link import Link
from brainrouter.http1.message import Body, HeaderLines, SharedLines
from brainrouter.http1.origin import Origin
from brainrouter.http1.response import Response

__all__ = ["Client", "Origin", "Response"]

STALE_S = (
    1.0  # a pooled connection that dies so soon without a byte was dead already: the request may go again
)
TICK_S = 0.1
IDLE_TICK_S = 1.0


class Client:
    """Sends requests to upstreams. Connections are kept for `idle_s`, at most `max_idle_per_origin` of them.

    `tls` is for https; without it, the system's certificates are trusted.
    """

    def __init__(
        self,
        max_idle_per_origin: int = 20,
        idle_s: float = 20.0,
        connect_s: float = 3.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._max_idle = max_idle_per_origin
        self._idle_s = idle_s
        self._connect_s = connect_s
        self._idle: dict[str, list[Link]] = {}
        self._links: set[Link] = set()
        self._heads = defaultdict[str, KnownAnswers](KnownAnswers)
        self._sweeper: asyncio.TimerHandle | None = None
        self._tls = tls

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
        body: Body = b"",
        *,
        first_byte_s: float,
        total_s: float = inf,
        shared: SharedLines = (),
    ) -> Response:
        """Send a request and wait for the head of its answer, whatever its status.

        Once the request is sent, the head may take `first_byte_s` and the whole exchange `total_s`: after that, reading
        raises OverTime. `host` and `content-length` are added; do not give them. `shared` are header lines that many
        requests carry: hand in the very same object. The body is all of it, and stays as it is until the answer has
        begun. Sent again, once and on a new connection, only when a pooled one turns out to have been closed. Raises
        ConnectFailed, HeadTimeout, OverTime, Broken.
        """
        pieces = request_pieces(origin, method, path, headers, body, shared)
        link = self._take(origin.key)
        pooled = link is not None
        while True:
            link = link or await self._connect(origin)
            try:
                await link.send(pieces, first_byte_s, total_s, head_only=method == "HEAD")
            except BaseException as error:
                link.abort()
                stale = pooled and isinstance(error, Broken) and link.untouched
                if not stale or link.since_sent > STALE_S:
                    raise
                link, pooled = None, False
            else:
                return Response(self, link, link.head)

    async def close(self) -> None:
        """Cut every connection. Requests under way end with Broken."""
        for link in list(self._links):
            link.transport.abort()
        self._idle.clear()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        await asyncio.sleep(0)

    def release(self, link: Link) -> None:
        """Take back a connection after its response; for Response only."""
        if link.reusable:
            idle = self._idle.setdefault(link.key, [])
            if len(idle) < self._max_idle:
                link.rest(self._idle_s)
                idle.append(link)
                return
        link.abort()

    def _take(self, key: str) -> Link | None:
        idle = self._idle.get(key)
        while idle:
            link = idle.pop()
            if not link.transport.is_closing():
                return link
        return None

    async def _connect(self, origin: Origin) -> Link:
        loop = asyncio.get_running_loop()

        def make() -> Link:
            return Link(origin.key, self._forget, self._heads[origin.key])

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
        if link.error is None:  # else it is lost already, and was forgotten before it was known
            self._links.add(link)
        if self._sweeper is None:
            self._sweeper = loop.call_later(TICK_S, self._sweep)
        return link

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _forget(self, link: Link) -> None:
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
