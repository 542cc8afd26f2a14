"""The dashboard's routes: its page, what it is told, and what it may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from brainrouter.edge.http.conversations import ConversationRoute
from brainrouter.edge.http.event_stream import EventStream
from brainrouter.edge.http.operations import OperationRoutes
from brainrouter.edge.http.page import Page
from brainrouter.edge.http.routes import Answer, Routes, problem
from brainrouter.edge.http.views import as_json
from brainrouter.flows.broadcast import Broadcast
from brainrouter.flows.history import BUCKETS, History
from brainrouter.flows.services import Services
from brainrouter.http1.message import Request

View = Callable[[], dict[str, Any]]


class Dashboard:
    """Handlers over the views that the dashboard shows."""

    def __init__(
        self,
        token: str,
        broadcast: Broadcast,
        services: Services,
        bridges: View,
        history: History,
        operations: OperationRoutes,
        conversation: ConversationRoute,
    ) -> None:
        self._page = Page(token)
        self._operations = operations
        self._conversation = conversation
        self._events = EventStream(broadcast)
        self._services = services
        self._bridges = bridges
        self._history = history

    def add_to(self, routes: Routes) -> None:
        """Put the routes into the table."""
        routes.page("/", self._page.index)
        routes.page("/review/", self._page.index)
        routes.page("/review/session/:id", self._page.index)
        routes.add("GET", "/page/*file", self._page.part)
        routes.add("GET", "/api/events", self._events)
        routes.add("GET", "/api/history", self._over_time)
        routes.add("GET", "/api/service-health", self._service_health)
        routes.add("GET", "/api/inference-status", self._inference)
        routes.add("GET", "/api/bridge-status", self._bridge_status)
        routes.add("POST", "/api/conversation-route", self._conversation)
        self._operations.add_to(routes)

    async def _over_time(self, request: Request) -> Answer:
        """GET /api/history[?hours=N]: what the charts show."""
        asked = parse_qs(request.query).get("hours", ["1"])[0]
        if asked not in map(str, BUCKETS):
            ranges = ", ".join(map(str, BUCKETS))
            return problem(request.path, 400, f"hours must be one of {ranges}", param="hours")
        try:
            return as_json(await self._history.over(int(asked)))
        except OSError as error:
            return problem(request.path, 503, str(error))

    async def _service_health(self, _: Request) -> Answer:
        """GET /api/service-health: each service with its state and the dot that stands for it."""
        return as_json({"services": self._services.services()})

    async def _inference(self, _: Request) -> Answer:
        """GET /api/inference-status: what runs now, and in which phase it is."""
        return as_json(self._services.inference())

    async def _bridge_status(self, _: Request) -> Answer:
        """GET /api/bridge-status."""
        return as_json(self._bridges())
