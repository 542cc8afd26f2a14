"""Keeps the live picture of both sides fresh, beside the hot path: which local models there are, who answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from urllib.parse import quote

from brainrouter.flows.relay import Side
from brainrouter.live import Live, LocalModel
from brainrouter.policy.failure import Failure
from brainrouter.wire.llama_swap import LocalModelFacts, context_of_props, local_models

EVERY_S = 10.0
PROBE_S = 3.0

_log = logging.getLogger("brainrouter.backends")


class BackendWatch:
    """Asks both sides how they are, every few seconds and whenever told to."""

    def __init__(self, live: Live, cloud: Side | None, local: Side | None) -> None:
        self._live = live
        self._cloud = cloud
        self._local = local
        self._wake = asyncio.Event()
        self._windows: dict[str, int | None] = {}
        self._asked: set[str] = set()

    def follow(self, cloud: Side | None, local: Side | None) -> None:
        """Ask these from now on."""
        self._cloud, self._local = cloud, local

    def soon(self) -> None:
        """Look again now instead of at the next turn."""
        self._wake.set()

    async def run(self) -> None:
        """Look for ever; cancel to end."""
        while True:
            self._wake.clear()
            try:
                await self.look()
            except Exception:
                _log.exception("looking at the backends failed; trying again")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()

    async def look(self) -> None:
        """Ask both sides once. Never raises for a side that is away."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_local())
            group.create_task(self._look_cloud())

    async def _look_local(self) -> None:
        side = self._local
        if side is None:
            return
        try:
            status, models = await side.upstream.get("/models", side.key, PROBE_S)
            if status != 200:
                raise ValueError(f"status {status}")
            _, running = await side.upstream.get("~/running", side.key, PROBE_S)
            found = local_models(models, running)
            windows = [await self._window(side, item) for item in found]
        except (Failure, ValueError):
            self._live.local_reachable = False
            return
        self._live.local_reachable = True
        self._live.set_local_models(
            [
                LocalModel(item.id, item.state, window, item.aliases, item.description, item.vision)
                for item, window in zip(found, windows, strict=True)
            ]
        )

    async def _window(self, side: Side, item: LocalModelFacts) -> int | None:
        """A model's window, remembered when it stops. One that runs is asked where nobody says it: asking loads it."""
        if item.context is not None:
            self._windows[item.id] = item.context
        elif item.state != "ready":
            self._asked.discard(item.id)
        elif item.id not in self._asked:
            path = f"~/props?model={quote(item.id, safe='')}"
            with contextlib.suppress(Failure):
                status, said = await side.upstream.get(path, side.key, PROBE_S)
                if status == 200:
                    self._windows[item.id] = context_of_props(said)
                    self._asked.add(item.id)
        return self._windows.get(item.id)

    async def _look_cloud(self) -> None:
        side = self._cloud
        if side is None:
            return
        try:
            # Manifest's own health route; any other OpenAI-compatible server answers 404 here, which shows it is there.
            await side.upstream.get("~/api/v1/health", side.key, PROBE_S)
            self._live.cloud_reachable = True
        except Failure:
            self._live.cloud_reachable = False
