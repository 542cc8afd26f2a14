"""The routes that only read: health, models, events, statistics."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from brainrouter.edge.http.routes import Answer, problem
from brainrouter.http1.message import Reply, Request
from brainrouter.live import Live
from brainrouter.wire.event import shown
from brainrouter.wire.models import ModelRow, anthropic_models, openai_models

EVENTS_SHOWN = 50


class Views:
    """Handlers over the live state. `health`, `stats` and `metrics` are given, since they join several parts."""

    def __init__(
        self,
        live: Live,
        health: Callable[[], dict[str, Any]],
        stats: Callable[[], dict[str, Any]],
        metrics: Callable[[], bytes],
    ) -> None:
        self._live = live
        self._health = health
        self._stats = stats
        self._metrics = metrics

    async def health(self, _: Request) -> Answer:
        """GET /health: always 200 with status ok while the daemon serves; the rest says how the parts are."""
        return as_json(self._health())

    async def models(self, request: Request) -> Answer:
        """GET /v1/models, in Anthropic's shape for a caller that sends Anthropic's headers."""
        rows = self._rows()
        if request.headers.get("anthropic-version"):
            return Reply(200, anthropic_models(rows))
        return Reply(200, openai_models(rows))

    async def model(self, request: Request) -> Answer:
        """GET /v1/models/*id. An id may hold slashes, dots and colons, written as they are or percent-encoded."""
        wanted = unquote(request.path.removeprefix("/v1/models/"))
        for row in self._rows():
            if row.id == wanted:
                return as_json(
                    {"id": row.id, "object": "model", "created": row.created, "owned_by": row.owned_by}
                )
        return problem(request.path, 404, f"there is no model {wanted[:200]}", param="model")

    async def local_models(self, _: Request) -> Answer:
        """GET /api/models/llama-swap."""
        models = [
            {"id": model.id, "state": model.state, "context": model.context, "aliases": list(model.aliases)}
            for model in self._live.local_models
        ]
        return as_json({"models": models, "reachable": self._live.local_reachable})

    async def events(self, request: Request) -> Answer:
        """GET /api/routing-events[?limit=N]: newest first."""
        asked = parse_qs(request.query).get("limit", [str(EVENTS_SHOWN)])[0]
        if not re.fullmatch(r"[0-9]{1,3}", asked) or not 0 < int(asked) <= 500:
            return problem(request.path, 400, "limit must be a whole number from 1 to 500", param="limit")
        events = [shown(event) for event in islice(self._live.events, int(asked))]
        return as_json({"events": events, "total": self._live.totals().requests})

    async def stats(self, _: Request) -> Answer:
        """GET /api/routing-stats."""
        return as_json(self._stats())

    async def metrics(self, _: Request) -> Answer:
        """GET /metrics, in Prometheus' text format."""
        return Reply(200, self._metrics(), content_type="text/plain; version=0.0.4; charset=utf-8")

    def _rows(self) -> list[ModelRow]:
        created = int(self._live.started)
        rows = [
            ModelRow(
                id="auto",
                name="brainrouter: decides for each request",
                owned_by="brainrouter",
                created=created,
            ),
            ModelRow(
                id="local", name="brainrouter: on this machine", owned_by="brainrouter", created=created
            ),
            ModelRow(id="cloud", name="brainrouter: in the cloud", owned_by="brainrouter", created=created),
        ]
        local = (
            ModelRow(model.id, model.description or model.id, "llama-swap", model.context, created)
            for model in self._live.local_models
        )
        return [*rows, *local]


def as_json(value: object) -> Reply:
    """A reply of today: never kept by a cache."""
    headers = (("cache-control", "no-store"),)
    return Reply(200, msgspec.json.encode(value), headers=headers)
