"""Each piece of an upstream's stream on its way to the caller: looked at, passed on, timed."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Protocol

from brainrouter.http1.errors import IdleTimeout
from brainrouter.http1.message import Sink
from brainrouter.wire.inward import Telling
from brainrouter.wire.watch import StreamWatch

LINGER_S = 0.5  # how long a stream's body may stay open after the event that ends the answer
_HEARTBEATS = (b":", b"event: ping")


class Ended(Exception):
    """The stream said that it failed: nothing more of it is wanted."""


class Count(Protocol):
    """Who is told how many pieces were passed on."""

    pieces: int


class Piece:
    """Takes each piece of a stream as it comes: looks at it, passes it on, keeps the stall clock."""

    __slots__ = (
        "_allow_for", "_count", "_decode", "_inward", "_lingers", "_seen", "_silent_since", "_sink",
        "_stall_s", "_watch",
    )  # fmt: skip

    def __init__(
        self,
        watch: StreamWatch,
        decode: Callable[[bytes], bytes] | None,
        sink: Sink,
        count: Count,
        stall_s: float,
        inward: Telling | None,
        allow_for: Callable[[float], None],
    ) -> None:
        self._watch, self._decode, self._sink, self._count = watch, decode, sink, count
        self._seen = watch.seen
        self._stall_s, self._inward, self._allow_for = stall_s, inward, allow_for
        self._silent_since = monotonic()  # 0.0 while what comes is more than heartbeats
        self._lingers = False

    def take(self, data: bytes, framed: bytes) -> None:
        """The next piece of the body; `framed` as for OnData. Raises Ended, IdleTimeout, BadAnswer, BadEncoding."""
        watch = self._watch
        out = watch.feed(data if self._decode is None else self._decode(data))
        if out:
            self._count.pieces += 1
            if self._inward is None:
                self._sink.write(out, framed if out is data else b"")
            else:
                self.send(out)
        if watch.failure is not None:
            raise Ended
        if self._seen.complete and not self._lingers:
            self.linger()
        # Silence is the transport's to notice; heartbeats without an answer are noticed here.
        if out[:5] == b"data:" or (out and not out.startswith(_HEARTBEATS)):
            self._silent_since = 0.0
        elif not self._silent_since:
            self._silent_since = monotonic()
        elif monotonic() - self._silent_since > self._stall_s and not self._sink.paused:
            raise IdleTimeout("only heartbeats came")

    def linger(self) -> None:
        """The answer is over. Its body should end now as well; one that does not is not waited for."""
        self._lingers = True
        self._allow_for(LINGER_S)

    def send(self, out: bytes) -> None:
        """Write what the upstream said, in the caller's dialect."""
        told = out if self._inward is None or not out else self._inward.feed(out)
        if told:
            self._sink.write(told)

    def end(self) -> None:
        """Write what completes the answer in the caller's dialect, if that is still to be said."""
        told = b"" if self._inward is None else self._inward.end()
        if told:
            self._sink.write(told)
