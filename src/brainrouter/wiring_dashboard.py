"""Builds what tells how things are: the parts of /health, and the dashboard. A part of wiring, which alone knows it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from brainrouter import __version__
from brainrouter.adapters.commands import run
from brainrouter.adapters.embedded import EmbeddedBackend
from brainrouter.adapters.release_source import ReleaseSource
from brainrouter.adapters.service_probe import ServiceProbe
from brainrouter.config import Settings, key_from
from brainrouter.edge.http.conversations import ConversationRoute
from brainrouter.edge.http.dashboard import Dashboard
from brainrouter.edge.http.operations import OperationRoutes
from brainrouter.edge.http.page_token import PageToken
from brainrouter.flows.bridge_status import BridgeBoard
from brainrouter.flows.broadcast import Broadcast
from brainrouter.flows.history import History
from brainrouter.flows.relay import Side
from brainrouter.flows.services import Services
from brainrouter.flows.status import Status
from brainrouter.flows.upgrade import Operations
from brainrouter.flows.versions import Versions
from brainrouter.flows.watch_backends import BackendWatch
from brainrouter.live import Live
from brainrouter.policy.failure import Failure
from brainrouter.policy.plan import Backends

ASK_S = 3.0
NO_CLOUD = "no Manifest found: `cloud` is answered locally and marked `fallback: no cloud`"


@dataclass(frozen=True, slots=True)
class Board:
    """The dashboard's routes and what works behind them."""

    routes: Dashboard
    broadcast: Broadcast
    versions: Versions
    operations: Operations
    bridges: BridgeBoard
    history: History

    async def run(self) -> None:
        """Look up versions and do what was asked for, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.versions.run())
            group.create_task(self.operations.run())

    def close(self) -> None:
        """End the streams of events, which would hold up a drain."""
        self.broadcast.close()


def build_board(
    settings: Settings,
    env: Mapping[str, str],
    live: Live,
    status: Status,
    watch: BackendWatch,
    store: Path,
    local: Callable[[], Side | None],
    restart: Callable[[], None],
    *,
    embedded: bool,
) -> Board:
    """Build all of it. `restart` ends the daemon so that it starts again."""
    ops, bridges = settings.ops, BridgeBoard(settings.bridge)
    source = ReleaseSource(ops.release_api, ops.image_api) if ops.check_updates else None
    probe = ServiceProbe(ops, env, lambda argv, deadline_s: run(argv, deadline_s, env=env))

    def changed() -> None:
        broadcast.changed()

    versions = Versions(probe, source, _swap_says(local), embedded=embedded, changed=changed)
    operations = Operations(
        versions,
        probe,
        source,
        lambda argv, deadline_s, say: run(argv, deadline_s, say, env),
        restart,
        changed,
    )
    services = Services(live, status.health)
    views = {
        "inference": services.inference,
        "services": services.services,
        "stats": status.stats,
        "bridges": bridges.status,
        "versions": versions.view,
        "operations": operations.view,
    }
    constants = {"started": live.started, "version": __version__}
    broadcast = Broadcast(
        live, views, lambda: constants, lambda: watch.soon() if services.waits_for_local() else None
    )
    live.listeners.append(broadcast.heard)
    token, history = secrets.token_urlsafe(32), History(store, settings.prices)
    routes = Dashboard(
        token,
        broadcast,
        services,
        bridges.status,
        history,
        OperationRoutes(PageToken(token), versions, operations),
        ConversationRoute(live.sessions, PageToken(token)),
    )
    return Board(routes, broadcast, versions, operations, bridges, history)


def _swap_says(now: Callable[[], Side | None]) -> Callable[[], Awaitable[str | None]]:
    """What a running llama-swap says of its version."""

    async def says() -> str | None:
        local = now()
        if local is None:
            return None
        try:
            status, body = await local.upstream.get("~/api/version", local.key, ASK_S)
            said = msgspec.json.decode(body, type=dict[str, Any]) if status == 200 else {}
        except (Failure, msgspec.DecodeError):
            return None
        version = str(said.get("version") or "") or None
        return f"0 ({said.get('commit')})" if version == "0" else version

    return says


def cloud_part(settings: Settings, url: str | None, env: Mapping[str, str], live: Live) -> dict[str, Any]:
    """How the cloud is, for /health."""
    if url is None:
        return {"state": "missing", "detail": NO_CLOUD}
    named = settings.manifest.api_key_env
    return {
        "state": {True: "healthy", False: "unreachable", None: "unknown"}[live.cloud_reachable],
        "url": url,
        "key": f"from ${named}" if key_from(env, named) else f"missing: set ${named}",
    }


def local_part(
    url: str | None, live: Live, embedded: EmbeddedBackend | None, backends: Backends
) -> dict[str, Any]:
    """How the local side is, for /health."""
    models = [model.id for model in live.local_models]
    if embedded is not None:
        return {**embedded.status(), "embedded": True, "models": models, "model": backends.local_model}
    if url is None:
        return {"state": "missing", "embedded": False, "models": []}
    state = {True: "healthy", False: "unreachable", None: "unknown"}[live.local_reachable]
    return {
        "state": state,
        "embedded": False,
        "url": url,
        "models": models,
        "model": backends.local_model,
    }
