"""GET /api/events: what happens, as server-sent events. First a `snapshot`, then what changes."""

from __future__ import annotations

from brainrouter.edge.http.routes import Answer, problem
from brainrouter.flows.broadcast import Broadcast
from brainrouter.http1.message import Request, Sink, StreamReply

HEARTBEAT_S = 15.0
_HEARTBEAT = b": ping\n\n"
_HEADERS = (("cache-control", "no-store"),)


class EventStream:
    """The handler. Each client has a queue of its own in the broadcast; one that stops reading is cut by the server."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast

    async def __call__(self, request: Request) -> Answer:
        broadcast = self._broadcast

        async def produce(sink: Sink) -> None:
            subscription = broadcast.subscribe()
            try:
                while (data := await subscription.take(HEARTBEAT_S)) is not None:
                    sink.write(data or _HEARTBEAT)
                    await sink.drain()
            finally:
                broadcast.leave(subscription)

        if broadcast.full:
            return problem(request.path, 503, "too many dashboards are open, or brainrouter is shutting down")
        return StreamReply(200, produce, headers=_HEADERS)
