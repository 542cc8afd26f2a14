"""One client connection: requests in order, one handler task at a time, deadlines, back-pressure.

When is a client gone? `connection_lost` is certain. An EOF is not: after a close() and after shutdown(SHUT_WR)
the same FIN arrives. A harness never half-closes and its leaving must reach the upstream within 50 ms; `nc`
half-closes and wants its answer. So, when a request is in flight at EOF: on a Unix socket poll() tells the two apart
at once. On TCP the answer has HALF_CLOSE_GRACE_S to finish; then, if its head has not left, `100 Continue` is written,
which every HTTP/1.1 client skips and a closed socket answers with RST: after HALF_CLOSE_GRACE_S more that shows in
poll(). No RST: half-closed, and it is answered. Where no probe can be sent (mid-stream, HTTP/1.0) EOF after the grace
is gone.
"""

import asyncio
import select
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, cast

from brainrouter.http1.errors import ClientGone, Refused
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
from brainrouter.http1.message import Handler, Peer, Reply, Request, StreamReply
from brainrouter.http1.reader import RequestReader
from brainrouter.http1.sink import StreamSink

HALF_CLOSE_GRACE_S = 0.01
QUEUED_BYTES_MAX = 256 * 1024
IDLE, IN_HEAD, IN_BODY = range(3)
_LINGER_RESET = struct.pack("ii", 1, 0)


class House(Protocol):
    """What a connection needs of its server."""

    handler: Handler
    limits: Limits
    error_body: ErrorBody
    loop: asyncio.AbstractEventLoop
    draining: bool
    in_flight: int
    held: int

    def joined(self, connection: "ServerConnection") -> bool: ...
    def left(self, connection: "ServerConnection") -> None: ...


def peer_of(transport: asyncio.BaseTransport) -> Peer:
    """Who is at the other end."""
    sock: Any = transport.get_extra_info("socket")
    name: Any = transport.get_extra_info("peername")
    local: Any = transport.get_extra_info("sockname")
    if sock.family == socket.AF_UNIX:
        return Peer("unix", "", 0, sock, (local,))
    host, port = (str(name[0]), int(name[1])) if name else ("", 0)
    return Peer("tcp", host, port, sock, tuple(local or ()))


def hung_up(sock: Any) -> bool:
    """True when the other end is closed in both directions, as far as the kernel knows yet."""
    poller = select.poll()
    try:
        poller.register(sock.fileno(), 0)
    except (OSError, ValueError):
        return True
    return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poller.poll(0))


class ServerConnection(asyncio.Protocol):
    """Speaks HTTP/1.1 with one client for a server."""

    __slots__ = (
        "_begun",
        "_body_begun",
        "_current",
        "_deadline",
        "_eof",
        "_expecting",
        "_held",
        "_house",
        "_lost",
        "_paused",
        "_peer",
        "_phase",
        "_queue",
        "_reader",
        "_reading",
        "_sink",
        "_stall_size",
        "_stopped",
        "_task",
        "_transport",
    )  # fmt: skip

    _transport: asyncio.Transport
    _reader: RequestReader
    _peer: Peer

    def __init__(self, house: House) -> None:
        self._house = house
        self._queue: deque[tuple[Request, bool, bool] | Refused] = deque()
        self._task: asyncio.Task[None] | None = None
        self._current: tuple[Request, bool, bool] | None = None
        self._sink: StreamSink | None = None
        self._begun = False  # the task has run its first step: a cancel before it would skip its cleaning up
        self._lost = self._eof = self._stopped = self._paused = self._expecting = False
        self._reading = True
        self._held = 0
        self._deadline = 0.0  # 0: none yet; the sweep starts the keep-alive clock, so no request pays for one
        self._phase = IDLE
        self._body_begun = 0.0
        self._stall_size = -1

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass
        self._peer = peer_of(transport)
        self._reader = RequestReader(self._house.limits, self._peer, self._deliver, self._expect, self._hold)
        if not self._house.joined(self):
            self._refuse(Refused(503, "too many connections"))
        self._deadline = self._house.loop.time() + self._house.limits.head_s

    def data_received(self, data: bytes) -> None:
        if self._stopped:
            return
        reader = self._reader
        try:
            reader.feed(data)
        except Refused as refused:
            self._enqueue(refused)
            return
        if reader.partial:
            self._wait_for_more(reader)

    def eof_received(self) -> bool:
        self._eof = True
        if self._task is None and not self._queue:
            return False
        if self._peer.kind == "unix":
            if hung_up(self._peer.socket):
                self._gone()
        else:
            self._house.loop.call_later(HALF_CLOSE_GRACE_S, self._probe, self._current)
        return not self._lost

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone()
        self._house.held -= self._held
        self._held = 0
        self._house.left(self)

    def pause_writing(self) -> None:
        self._paused = True
        self._stall_size = -1
        if self._sink is not None:
            self._sink.pause()

    def resume_writing(self) -> None:
        self._paused = False
        self._rest()
        if self._sink is not None:
            self._sink.resume()
        elif self._task is None:
            self._advance()

    # requests

    def _deliver(self, request: Request, keep: bool, old: bool) -> None:
        self._rest()
        self._expecting = False
        if self._task is None and not self._queue and not self._paused:
            self._begin(request, keep, old)
        else:
            self._enqueue((request, keep, old))

    def _enqueue(self, item: "tuple[Request, bool, bool] | Refused") -> None:
        queue = self._queue
        limits = self._house.limits
        if isinstance(item, Refused):
            self._stopped = True
            self._deadline = 0.0
        elif len(queue) >= limits.pipelined * 8:
            raise Refused(400, "too many pipelined requests")
        queue.append(item)
        if self._task is None:
            self._advance()
        elif len(queue) >= limits.pipelined or self._held > QUEUED_BYTES_MAX:
            self._read(False)

    def _rest(self) -> None:
        self._phase = IDLE
        self._deadline = 0.0

    def _expect(self) -> None:
        """The client waits before it sends its body. In order: not while an earlier answer is under way."""
        if self._task is None and not self._queue:
            self._transport.write(CONTINUE)
        else:
            self._expecting = True

    def _hold(self, size: int) -> None:
        house = self._house
        house.held += size
        self._held += size
        if house.held > house.limits.held_bytes:
            raise Refused(503, "the server holds too many request bodies")

    def _wait_for_more(self, reader: RequestReader) -> None:
        """Part of a request is here: a head has an absolute deadline, a body one that its bytes push on."""
        now = self._house.loop.time()
        limits = self._house.limits
        if not reader.in_body:
            if self._phase != IN_HEAD:
                self._phase = IN_HEAD
                self._deadline = now + limits.head_s
            return
        if self._phase != IN_BODY:
            self._phase = IN_BODY
            self._body_begun = now
        whole = self._body_begun + limits.body_idle_s + reader.size / limits.body_rate
        self._deadline = min(now + limits.body_idle_s, whole)

    def _begin(self, request: Request, keep: bool, old: bool) -> None:
        house = self._house
        if house.in_flight >= house.limits.max_in_flight:
            body, kind = house.error_body(503, "too many requests in flight", request.path)
            reply = Reply(503, body, kind, (("retry-after", "1"),))
            self._release(request)
            self._send(reply, request, keep, old)
            if not keep:
                self._stopped = True
                self._transport.close()
            return
        house.in_flight += 1
        self._begun = False
        self._current = (request, keep, old)
        self._task = house.loop.create_task(self._answer(request, keep, old))

    def _advance(self) -> None:
        """Take up what waits. Nothing is in flight here."""
        queue = self._queue
        while queue and self._task is None and not self._paused and not self._lost:
            item = queue.popleft()
            if isinstance(item, Refused):
                self._refuse(item)
                return
            self._begin(*item)
        if self._lost or self._task is not None:
            return
        if not queue and self._eof:
            self._transport.close()
        elif not queue and self._expecting:
            self._expecting = False
            self._transport.write(CONTINUE)
        if not queue or len(queue) < self._house.limits.pipelined // 2:
            self._read(True)

    def _read(self, on: bool) -> None:
        if on is not self._reading and not self._lost and not self._eof:
            self._reading = on
            if on:
                self._rest()
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    # answers

    async def _answer(self, request: Request, keep: bool, old: bool) -> None:
        self._begun = True
        whole = False
        try:
            if not self._lost:
                reply = await self._house.handler(request)
                if self._house.draining:
                    keep = False
                if isinstance(reply, Reply):
                    keep = self._send(reply, request, keep, old)
                else:
                    keep = await self._stream(reply, request, keep, old)
                whole = True
        except ClientGone:
            pass
        except Exception as error:
            keep = False
            whole = self._failed(request, old, error)
        finally:
            self._finished(request, keep if whole else None)

    def _send(self, reply: Reply, request: Request, keep: bool, old: bool) -> bool:
        keep = keep and not reply.close
        after = (KEEP_ALIVE if old else b"") if keep else CLOSE
        body = reply.body
        head = whole_head(reply.status, reply.content_type, reply.headers, len(body), after)
        if self._lost:
            return False
        if request.method == "HEAD" or not body:
            self._transport.write(head)
        elif len(body) < JOIN_BELOW:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        return keep

    async def _stream(self, reply: StreamReply, request: Request, keep: bool, old: bool) -> bool:
        headers = reply.headers if keep or old else (*reply.headers, ("connection", "close"))
        head = stream_head(reply.status, reply.content_type, headers, chunked=not old)
        if request.method == "HEAD":
            self._transport.write(head)
            return keep and not old
        sink = StreamSink(self._transport, head, chunked=not old, paused=self._paused)
        if self._lost:
            raise ClientGone
        self._sink = sink
        await reply.produce(sink)
        sink.finish()
        return keep and not old

    def _failed(self, request: Request, old: bool, error: Exception) -> bool:
        """A handler raised: a 500 when nothing was said yet. Returns whether the client got a whole answer."""
        house = self._house
        house.loop.call_exception_handler({"message": "a request handler failed", "exception": error})
        if self._lost or (self._sink is not None and self._sink.began):
            return False
        body, kind = house.error_body(500, "internal error", request.path)
        self._send(Reply(500, body, kind, close=True), request, False, old)
        return True

    def _finished(self, request: Request, keep: bool | None) -> None:
        """The handler's task ends. `keep` None: the answer is not whole, so the connection must not look well."""
        self._house.in_flight -= 1
        current, self._current, self._task = self._current, None, None
        sink, self._sink = self._sink, None
        self._release(request)
        if sink is not None:
            sink.shut()
        if self._lost:
            return
        if keep is None:
            self._cut(old=current is not None and current[2])
        elif not keep or (self._house.draining and not self._queue):
            self._stopped = True
            self._transport.close()
        elif self._queue or self._eof or self._expecting or not self._reading:
            self._advance()

    def _release(self, request: Request) -> None:
        size = len(request.body)
        self._held -= size
        self._house.held -= size

    # endings

    def _refuse(self, refused: Refused) -> None:
        """Say why, close our side, and swallow what still comes for a while: a reset would eat the words."""
        self._stopped = True
        body, kind = self._house.error_body(refused.status, refused.message, "")
        more = (("retry-after", "1"),) if refused.status == 503 else ()
        head = whole_head(refused.status, kind, more, len(body), CLOSE)
        self._transport.write(head + body)
        if self._eof:
            self._transport.close()
            return
        self._transport.write_eof()
        self._read(True)
        self._phase = IDLE
        self._deadline = self._house.loop.time() + self._house.limits.linger_s

    def _cut(self, *, old: bool) -> None:
        """End an answer that is not whole so that the client can tell: no last chunk, or a reset for HTTP/1.0."""
        self._stopped = True
        if old:
            self._peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
            self._transport.abort()
        else:
            self._transport.close()

    def _gone(self) -> None:
        if self._lost:
            return
        self._lost = self._stopped = True
        self._queue.clear()
        if self._sink is not None:
            self._sink.shut()
        if self._task is not None and self._begun:
            self._task.cancel()
        self._transport.abort()

    def _probe(self, asked: object) -> None:
        """See the module's words on half-close."""
        if self._lost or self._current is not asked or self._current is None:
            return
        old = self._current[2]
        if old or (self._sink is not None and self._sink.began) or hung_up(self._peer.socket):
            self._gone()
        else:
            self._transport.write(CONTINUE)
            self._house.loop.call_later(HALF_CLOSE_GRACE_S, self.check_half_closed)

    def check_half_closed(self) -> None:
        """A half-closed client that has since closed is gone."""
        if self._eof and not self._lost and hung_up(self._peer.socket):
            self._gone()

    def sweep(self, now: float) -> None:
        """Hold the deadlines; called by the server every tick."""
        limits = self._house.limits
        if self._paused:
            size = self._transport.get_write_buffer_size()
            if size < self._stall_size or self._stall_size < 0:
                self._stall_size = size
                self._deadline = now + limits.write_stall_s
            elif now >= self._deadline:
                self._gone()
        elif self._task is not None:
            self.check_half_closed()
        elif self._deadline == 0.0:
            self._deadline = now + limits.keepalive_idle_s
        elif now >= self._deadline:
            self._expire()

    def _expire(self) -> None:
        if self._stopped or not self._reader.partial:
            self._transport.abort() if self._stopped else self._transport.close()
        else:
            what = "body" if self._reader.in_body else "head"
            self._refuse(Refused(408, f"the request {what} took too long"))

    def stop(self, *, now: bool) -> None:
        """For the server's drain: close when idle, or (`now`) whatever happens."""
        if now:
            self._gone()
        elif self._task is None and not self._queue and not self._lost:
            self._stopped = True
            self._transport.close()


ConnectionFactory = Callable[[], ServerConnection]
