"""POST /api/restart/:service and /api/upgrade/:component: only for who has read the page, or sits at the socket."""

from __future__ import annotations

import msgspec

from brainrouter.edge.http.page_token import PageToken
from brainrouter.edge.http.routes import Answer, Routes, problem
from brainrouter.edge.http.views import as_json
from brainrouter.flows.upgrade import Operations, Refused
from brainrouter.flows.versions import Versions
from brainrouter.http1.message import Reply, Request
from brainrouter.policy.service_plan import RESTARTABLE, UPGRADABLE

_LISTS = {"restart": RESTARTABLE, "upgrade": UPGRADABLE}


class OperationRoutes:
    """Handlers. The services are a closed list; nothing of a request becomes part of a command."""

    def __init__(self, token: PageToken, versions: Versions, operations: Operations) -> None:
        self._token = token
        self._versions = versions
        self._operations = operations

    def add_to(self, routes: Routes) -> None:
        routes.add("GET", "/api/versions", self._installed)
        routes.add("GET", "/api/operations", self._all)
        routes.add("POST", "/api/restart/:service", self._begin)
        routes.add("POST", "/api/upgrade/:component", self._begin)

    async def _installed(self, _: Request) -> Answer:
        """GET /api/versions: what is known now; what is not is looked up meanwhile."""
        return as_json(self._versions.view())

    async def _all(self, _: Request) -> Answer:
        """GET /api/operations: the latest actions and how they are."""
        return as_json({"operations": list(self._operations.view().values())})

    async def _begin(self, request: Request) -> Answer:
        """202 with the operation, which goes on by itself: watch it in /api/events or /api/operations."""
        _, _, action, service = request.path.split("/")
        if service not in _LISTS[action]:
            known = ", ".join(_LISTS[action])
            return problem(request.path, 404, f"what can be asked to {action} is {known}")
        refused = self._token.refusal(request)
        if refused is not None:
            return refused
        try:
            operation = await self._operations.start(action, service)
        except Refused as beyond:
            return _refusal(request.path, beyond)
        return Reply(
            202, msgspec.json.encode({"operation": operation}), headers=(("cache-control", "no-store"),)
        )


def _refusal(path: str, refused: Refused) -> Reply:
    way = refused.way
    hint = f" An administrator can run: {way.command}" if way is not None and way.command else ""
    return problem(path, refused.status, f"{refused}{hint}")
