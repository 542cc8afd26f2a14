"""One client connection: requests in order, one answer at a time, deadlines, back-pressure."""

import asyncio
from collections import deque
from typing import Protocol, cast

from brainrouter.http1.answer import Answer, House, Outcome
from brainrouter.http1.deadline import Deadline
from brainrouter.http1.errors import Refused
from brainrouter.http1.framing import CLOSE, CONTINUE, whole_head
from brainrouter.http1.known_head import KnownHeads
from brainrouter.http1.leaving import PROBE_S, hung_up, reset_on_close
from brainrouter.http1.limits import WRITE_AT_ONCE
from brainrouter.http1.message import Address, Peer, Request
from brainrouter.http1.peer import peer_of
from brainrouter.http1.request_reader import RequestReader
from brainrouter.http1.worker import Worker

QUEUED_BYTES_MAX = 256 * 1024
QUEUED_MAX_FACTOR = 8  # one read may hold more requests than `pipelined`; so many times more is abuse


class Landlord(House, Protocol):
    """What a connection needs of its server."""

    def heads_at(self, address: Address) -> KnownHeads:
        """The request heads that came to one of the server's addresses lately."""
        ...

    def joined(self, connection: "ServerConnection") -> bool:
        """A connection is open; False when there is no room for it."""
        ...

    def left(self, connection: "ServerConnection") -> None:
        """A connection is closed."""
        ...


class ServerConnection(asyncio.Protocol):
    """Speaks HTTP/1.1 with one client for a server."""

    __slots__ = (
        "_answer", "_deadline", "_eof", "_expecting", "_held", "_house", "_lost", "_peer", "_queue",
        "_reader", "_reading", "_stopped", "_transport", "_worker", "paused",
    )  # fmt: skip

    _transport: asyncio.Transport
    _reader: RequestReader
    _deadline: Deadline
    _peer: Peer
    _worker: Worker

    def __init__(self, house: Landlord) -> None:
        self._house = house
        self._queue: deque[Answer | Refused] = deque()
        self._answer: Answer | None = None
        self._lost = self._eof = self._stopped = self._expecting = self.paused = False
        self._reading = True
        self._held = 0

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is here."""
        house = self._house
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass
        self._transport.set_write_buffer_limits(WRITE_AT_ONCE)
        self._peer = peer_of(transport)
        heads = house.heads_at(self._peer.local)
        self._reader = RequestReader(house.limits, self._peer, self._deliver, self._expect, self._hold, heads)
        self._worker = Worker(house.loop)
        self._deadline = Deadline(house.limits, house.loop.time())
        if not house.joined(self):
            self._refuse(Refused(503, "the server takes no more connections now"))

    def data_received(self, data: bytes) -> None:
        """Bytes; after the last request that will be answered they are swallowed."""
        if self._stopped:
            return
        reader = self._reader
        try:
            reader.feed(data)
        except Refused as refused:
            self._stopped = True
            self._release(reader.drop())
            self._enqueue(refused)
            return
        if reader.partial:
            now = self._house.loop.time()
            if reader.in_body:
                self._deadline.body(now, reader.size)
            else:
                self._deadline.head(now)

    def eof_received(self) -> bool:
        """The client will send no more: gone, or half-closed. True keeps the connection open."""
        self._eof = True
        answer = self._answer
        if answer is None and not self._queue:
            return False
        if self._peer.kind == "tcp":
            self._house.loop.call_later(PROBE_S, self._probe)
        elif hung_up(self._peer):
            self._gone()
        return not self._lost

    def connection_lost(self, exc: Exception | None) -> None:
        """Certainly gone."""
        self._gone()
        self._reader.drop()  # the connection is part of a cycle, and may stay a while; a large body should not
        self._house.held -= self._held
        self._held = 0
        self._house.left(self)

    def pause_writing(self) -> None:
        """The client reads slower than we write."""
        self.paused = True
        if self._answer is not None and self._answer.sink is not None:
            self._answer.sink.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.paused = False
        self._deadline.rest()
        if self._answer is None:
            self._advance()
        elif self._answer.sink is not None:
            self._answer.sink.resume()

    # requests

    def _deliver(self, request: Request, keep: bool, old: bool) -> bool:
        self._deadline.rest()
        self._expecting = False
        answer = Answer(self._house, self, self._transport, request, keep, old)
        if self._answer is None and not self._queue and not self.paused:
            self._begin(answer)
        elif len(self._queue) < self._house.limits.pipelined * QUEUED_MAX_FACTOR:
            self._enqueue(answer)
        else:
            self._release(len(request.body))
            return False
        return True

    def _enqueue(self, item: Answer | Refused) -> None:
        queue = self._queue
        queue.append(item)
        if self._answer is None:
            self._advance()
        if len(queue) >= self._house.limits.pipelined or (queue and self._held > QUEUED_BYTES_MAX):
            self._read(False)

    def _expect(self) -> None:
        """The client waits before it sends its body; in order, so not while an earlier answer is under way."""
        if self._answer is None and not self._queue:
            self._transport.write(CONTINUE)
        else:
            self._expecting = True

    def _hold(self, size: int) -> bool:
        house = self._house
        house.held += size
        self._held += size
        return house.held <= house.limits.held_bytes

    def _begin(self, answer: Answer) -> None:
        house = self._house
        if house.in_flight < house.limits.max_in_flight:
            house.in_flight += 1
            self._answer = answer
            self._worker.do(answer)
        else:
            self._release(len(answer.request.body))
            if answer.overloaded() is Outcome.CLOSE:
                self._close()

    def _advance(self) -> None:
        """Take up what waits, now that no answer is under way."""
        queue = self._queue
        while queue and self._answer is None and not self.paused and not self._lost:
            item = queue.popleft()
            if isinstance(item, Refused):
                self._refuse(item)
                return
            self._begin(item)
        if queue or self._answer is not None or self._lost:
            return
        if self._eof:
            self._close()
            return
        if self._expecting:
            self._expecting = False
            self._transport.write(CONTINUE)
        self._read(True)

    def _read(self, on: bool) -> None:
        if on is not self._reading and not self._eof and not self._transport.is_closing():
            self._reading = on
            if on:
                self._deadline.rest()  # what came late was late because of us
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def answered(self, answer: Answer, outcome: Outcome) -> None:
        """The answer is over: the next request, or the end."""
        self._answer = None
        self._house.in_flight -= 1
        self._release(len(answer.request.body))
        if self._lost:
            return
        if outcome is Outcome.CUT and answer.old:
            reset_on_close(self._peer)
            self._transport.abort()
        elif outcome is not Outcome.KEEP or (self._house.draining and not self._queue):
            self._close()
        elif self._queue or self._eof or self._expecting or not self._reading:
            self._advance()

    def _release(self, size: int) -> None:
        self._held -= size
        self._house.held -= size

    # endings

    def _refuse(self, refused: Refused) -> None:
        """Say why, close our side, and swallow what still comes for a while: a reset would eat the words."""
        self._stopped = True
        if self._transport.is_closing():
            return
        body, kind = self._house.error_body(refused.status, refused.message, refused.path)
        more = (("retry-after", "1"),) if refused.status == 503 else ()
        head = whole_head(refused.status, kind, more, len(body), CLOSE, self._house.lines)
        self._transport.write(head + body)
        if self._eof:
            self._transport.close()
            return
        self._transport.write_eof()
        self._read(True)
        self._deadline.linger(self._house.loop.time())

    def _close(self) -> None:
        self._stopped = True
        self._queue.clear()
        self._transport.close()

    def _gone(self) -> None:
        """Nobody is there: whatever is under way stops now."""
        if not self._lost:
            self._lost = self._stopped = True
            self._queue.clear()
            if self._answer is not None:
                self._answer.abandon()
            self._worker.stop()
            self._transport.abort()

    def _probe(self) -> None:
        """The answer did not finish after the EOF: is anybody there? See `leaving`."""
        answer = self._answer
        if self._lost or answer is None:
            return
        if hung_up(self._peer) or not answer.probe():
            self._gone()
        else:
            self._house.loop.call_later(PROBE_S, self._check_half_closed)

    def _check_half_closed(self) -> None:
        if self._eof and not self._lost and hung_up(self._peer):
            self._gone()

    def sweep(self, now: float) -> None:
        """Hold the deadlines; the server calls this every tick."""
        if self.paused:
            if self._deadline.stalled(now, self._transport.get_write_buffer_size()):
                self._gone()
        elif self._answer is not None:
            self._check_half_closed()
        elif self._deadline.passed(now):
            reader = self._reader
            if self._stopped:
                self._transport.abort()
            elif reader.partial:
                late = f"the request {'body' if reader.in_body else 'head'} took too long"
                self._refuse(Refused(408, late, reader.path))
            else:
                self._close()

    def stop(self, *, now: bool) -> None:
        """For the server's drain: close when idle, or (`now`) whatever happens."""
        if now:
            self._gone()
        elif self._answer is None and not self._queue and not self._lost:
            self._close()
