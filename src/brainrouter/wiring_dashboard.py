"""Builds what tells how things are: the parts of /health, and the dashboard. A part of wiring, which alone knows it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brainrouter import __version__
from brainrouter.adapters.embedded import EmbeddedBackend
from brainrouter.config import Settings, key_from
from brainrouter.edge.http.dashboard import Dashboard
from brainrouter.flows.bridge_status import BridgeBoard
from brainrouter.flows.broadcast import Broadcast
from brainrouter.flows.history import History
from brainrouter.flows.services import Services
from brainrouter.flows.status import Status
from brainrouter.flows.watch_backends import BackendWatch
from brainrouter.live import Live
from brainrouter.policy.plan import Backends

NO_CLOUD = "no Manifest found: `cloud` is answered locally and marked `fallback: no cloud`"


def build_dashboard(
    settings: Settings, live: Live, status: Status, bridges: BridgeBoard, watch: BackendWatch, store: Path
) -> tuple[Dashboard, Broadcast]:
    """The dashboard's routes, and the broadcast that must be closed before the server drains."""
    services = Services(live, status.health)
    constants = {"started": live.started, "version": __version__}
    broadcast = Broadcast(
        live,
        {
            "inference": services.inference,
            "services": services.services,
            "stats": status.stats,
            "bridges": bridges.status,
        },
        lambda: constants,
        lambda: watch.soon() if services.waits_for_local() else None,
    )
    live.listeners.append(broadcast.heard)
    token = secrets.token_urlsafe(32)
    return Dashboard(token, broadcast, services, bridges.status, History(store, settings.prices)), broadcast


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
