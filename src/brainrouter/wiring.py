"""The one place that builds everything. Only the command line knows it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brainrouter.adapters.embedded import BackendUnavailable, EmbeddedBackend
from brainrouter.adapters.heads_file import load_heads
from brainrouter.adapters.listen import Listening
from brainrouter.adapters.logs import log_events
from brainrouter.adapters.model_file import cache_dir
from brainrouter.adapters.review_state import state_file
from brainrouter.adapters.review_store import ReviewStore
from brainrouter.adapters.rule_files import RuleFiles
from brainrouter.adapters.store import EventStore
from brainrouter.brain.heads import Heads
from brainrouter.bridge.supervise import Bridges
from brainrouter.config import Loaded, Settings, changed_keys
from brainrouter.edge.http.callers import Callers, folder_of
from brainrouter.edge.http.decide import DecideRoute
from brainrouter.edge.http.generate import Generate
from brainrouter.edge.http.review import ReviewRoutes
from brainrouter.edge.http.routes import SAFE, App, Routes, server_error_body
from brainrouter.edge.http.views import Views
from brainrouter.flows.classifier_start import ClassifierStart
from brainrouter.flows.project_guard import ProjectGuard
from brainrouter.flows.record import Recorder
from brainrouter.flows.reload import Reload
from brainrouter.flows.review import ReviewDesk
from brainrouter.flows.review_settings import ReviewControl
from brainrouter.flows.status import Gauges, Metrics, Status
from brainrouter.flows.watch_backends import BackendWatch
from brainrouter.http1.client import Client
from brainrouter.http1.limits import Limits
from brainrouter.http1.server import Server
from brainrouter.live import Live
from brainrouter.wiring_bridges import build_bridges
from brainrouter.wiring_dashboard import Board, build_board, cloud_part, local_part
from brainrouter.wiring_service import Choice, Lasting, Service, build_service

__all__ = ["Choice", "ConfigSource", "Daemon", "build", "state_dir"]

EMBEDDED = "embedded llama.cpp"
EMBEDDED_PATIENCE_S = 600.0
# Requests make little garbage in cycles: looking for it at every 700 objects costs 3 % of a request, and finds nothing.
GC_THRESHOLD = 20_000
# What is built once: a change of these waits for the next start.
AT_START = ("bonsai.", "decision.classifier", "bridge.", "ops.")

_log = logging.getLogger("brainrouter")


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """Where settings come from: `read` gives them anew or raises ConfigError, `files` are the ones to watch."""

    read: Callable[[], Loaded]
    files: Callable[[], list[Path]]


@dataclass(slots=True)
class Daemon:
    """The running whole. `run` serves until `stop` is called, then drains."""

    live: Live
    embedded: EmbeddedBackend | None
    classifier: ClassifierStart
    watch: BackendWatch
    health: Callable[[], dict[str, Any]]
    review: ReviewDesk
    board: Board
    bridges: Bridges
    reload: Reload
    service: Service
    _at_start: Settings
    _routes: Callable[[Service], Routes]
    _app: App
    _server: Server
    _callers: Callers
    _store: EventStore
    _lasting: Lasting
    _stopping: asyncio.Event
    again: bool = False

    def restart(self) -> None:
        """Ask for a graceful end, after which whoever started us starts us again."""
        self.again = True
        self.stop()

    def stop(self) -> None:
        """Ask for a graceful end: no new requests, the running ones may finish within limits.drain_s."""
        self.live.draining = True
        self._stopping.set()

    def adopt(self, loaded: Loaded) -> list[str]:
        """Put other settings in force for what comes from now on; requests under way end as they began.

        Gives the keys that differ but wait for the next start.
        """
        before = self.service
        new = build_service(loaded, before.choice.renewed(loaded), self._lasting)
        routes = self._routes(new)
        self.service, self._app.routes = new, routes
        self._server.limits = _limits(loaded.settings)
        self.watch.follow(new.cloud, new.local)
        self.review.follow(new.gatherer, new.reviewer, loaded.settings.review)
        self.board.history.prices = loaded.settings.prices
        _forget_rests(self.live, before.loaded.settings, loaded.settings)
        changed = changed_keys(before.loaded.settings, loaded.settings)
        waiting = self._waiting(loaded)
        if changed:
            self.watch.soon()
            _log.info("configuration read again: %s changed", ", ".join(changed))
        if waiting and changed:
            _log.warning("takes effect at the next start: %s", ", ".join(waiting))
        return waiting

    def _waiting(self, loaded: Loaded) -> list[str]:
        settings, choice = loaded.settings, self.service.choice
        waiting = [key for key in changed_keys(self._at_start, settings) if key.startswith(AT_START)]
        if choice.embedded and "llama_swap" in loaded.mentioned:
            waiting.append("llama_swap.base_url")
        return waiting

    async def run(self, listening: Listening, on_serving: Callable[[], None]) -> None:
        """Serve on bound sockets until `stop`. Everything that was started is ended before this returns."""
        self._store.start()
        try:
            async with asyncio.TaskGroup() as group:
                await self.review.open(group, f"http://{_shown(listening)}")
                await self._server.serve([listening.tcp, listening.unix])
                on_serving()
                work = [self.watch.run(), self.classifier.run(), self.board.run(), self.reload.run()]
                if self.embedded is not None:
                    work.append(self.embedded.start())
                background = [group.create_task(_kept(part)) for part in work]
                chats = self.bridges.run(f"http://{_shown(listening)}", listening.path)
                bridges = group.create_task(_kept(chats))
                gc.collect()
                gc.freeze()
                gc.set_threshold(GC_THRESHOLD)
                await self._stopping.wait()
                bridges.cancel()
                self.board.close()
                await self._server.drain(self.service.loaded.settings.limits.drain_s)
                self.review.close()
                for task in background:
                    task.cancel()
        finally:
            self._callers.close()
            await self._close()

    async def _close(self) -> None:
        await self.classifier.close()
        if self.embedded is not None:
            await self.embedded.close()
        await self._lasting.client.close()
        self.live.tell()  # the last events: those of the requests that were cut just now, too
        self._store.close()


async def _kept(work: Coroutine[Any, Any, None]) -> None:
    """Background work may fail; the daemon serves on without it."""
    try:
        await work
    except Exception:
        _log.exception("%s ended", work.__qualname__)


def build(
    loaded: Loaded, choice: Choice, env: Mapping[str, str], client: Client, source: ConfigSource
) -> Daemon:
    """Build the daemon from its settings. Call inside a running event loop."""
    settings, live = loaded.settings, Live()
    embedded = _embedded(choice, env, lambda: watch.soon())
    recorder = Recorder(live, "manifest", EMBEDDED if embedded else "llama-swap")
    busy = _local_generates(live) if embedded else _never
    classifier = ClassifierStart(settings, cache_dir(env), busy, after=_settled(embedded))
    guard = ProjectGuard(RuleFiles(Path(env.get("HOME") or "~").expanduser()))
    lasting = Lasting(env, live, client, recorder, classifier, embedded, _heads(), guard)
    first = build_service(loaded, choice, lasting)
    watch = BackendWatch(live, first.cloud, first.local)
    store = EventStore(state_dir(env) / "brainrouter.db")
    metrics = Metrics(
        live, lambda: Gauges(server.connections, client.connections, len(asyncio.all_tasks()), store.lost)
    )
    live.listeners += [metrics.heard, store.add, log_events]

    def watched() -> list[Path]:
        prompt = daemon.service.loaded.settings.llama_swap.local_system_prompt
        return [*source.files(), *([Path(prompt).expanduser()] if prompt else [])]

    reload = Reload(source.read, watched, lambda loaded: daemon.adopt(loaded))
    status = _status(lasting, store, lambda: daemon.service, reload)
    control = ReviewControl(
        settings.review, state_file(env), lambda: [model.id for model in live.local_models]
    )
    review = ReviewDesk(ReviewStore(store), first.gatherer, first.reviewer, control)
    board = build_board(
        settings, env, live, status, watch, store.path, lambda: daemon.service.local,
        lambda: daemon.restart(), embedded=embedded is not None,
    )  # fmt: skip
    bridges = build_bridges(loaded, env, board.bridges)
    callers = Callers()
    views = Views(live, status.health, status.stats, metrics.text)

    def routes(service: Service) -> Routes:
        routes = _table(service, lasting, callers, views, review)
        board.routes.add_to(routes)
        return routes

    app = App(routes(first), callers.admits)
    server = Server(app.answer, _limits(settings), server_error_body, SAFE)
    parts = (live, embedded, classifier, watch, status.health, review, board, bridges, reload, first)
    daemon = Daemon(*parts, settings, routes, app, server, callers, store, lasting, asyncio.Event())
    return daemon


def _status(lasting: Lasting, store: EventStore, now: Callable[[], Service], reload: Reload) -> Status:
    env, live = lasting.env, lasting.live

    def cloud() -> dict[str, Any]:
        return cloud_part(now().loaded.settings, now().choice.cloud_url, env, live)

    def local() -> dict[str, Any]:
        return local_part(now().choice.local_url, live, lasting.embedded, now().backends())

    def notes() -> dict[str, Any]:
        return {
            "config_files": list(map(str, now().loaded.files)),
            "config": reload.status(),
            "setup": now().choice.notes,
            "events_lost": store.lost,
        }

    return Status(live, cloud, local, lasting.classifier.status, notes)


def _table(service: Service, lasting: Lasting, callers: Callers, views: Views, desk: ReviewDesk) -> Routes:
    live, recorder = lasting.live, lasting.recorder
    generate = Generate(
        live,
        service.relay,
        recorder,
        lambda request, running: callers.note(request.peer, running),
        service.count,
    )
    decide = DecideRoute(live, service.decider, lasting.guard, callers.folder)
    review = ReviewRoutes(desk, folder_of)
    routes = Routes()
    routes.add("GET", "/health", views.health)
    routes.add("GET", "/v1/models", views.models)
    routes.add("GET", "/v1/models/*id", views.model)
    routes.add("POST", "/v1/chat/completions", generate.chat)
    routes.add("POST", "/v1/messages", generate.messages)
    routes.add("POST", "/v1/messages/count_tokens", generate.count_tokens)
    routes.add("POST", "/v1/responses", generate.responses)
    routes.add("POST", "/api/decide", decide)
    routes.add("GET", "/api/routing-events", views.events)
    routes.add("GET", "/api/routing-stats", views.stats)
    routes.add("GET", "/api/models/llama-swap", views.local_models)
    routes.add("GET", "/metrics", views.metrics)
    routes.add("GET", "/review/api/sessions", review.sessions)
    routes.add("GET", "/review/api/sessions/:id", review.session)
    routes.add("POST", "/review/api/request", review.request)
    routes.add("POST", "/review/api/resolve", review.resolve)
    routes.add("POST", "/review/api/continue", review.proceed)
    routes.add("POST", "/review/api/lgtm", review.lgtm)
    routes.add("POST", "/review/session/:id/resolve", review.resolve_one)
    routes.add("GET", "/api/review-config", review.config)
    routes.add("POST", "/api/review-config", review.set_config)
    return routes


def _limits(settings: Settings) -> Limits:
    return Limits(body_bytes=settings.limits.body_bytes)


def _forget_rests(live: Live, before: Settings, after: Settings) -> None:
    """Who mended a side's settings need not wait for its breaker to try again."""
    if before.manifest != after.manifest:
        live.breakers.pop("cloud", None)
    if before.llama_swap != after.llama_swap:
        for name in [name for name in live.breakers if name.startswith("local:")]:
            del live.breakers[name]


def _shown(listening: Listening) -> str:
    host = listening.tcp.getsockname()[0]
    return f"[{host}]:{listening.port}" if ":" in host else f"{host}:{listening.port}"


def _embedded(
    choice: Choice, env: Mapping[str, str], on_change: Callable[[], None]
) -> EmbeddedBackend | None:
    if not choice.embedded:
        return None
    return EmbeddedBackend(cache_dir(env), llama_swap=choice.llama_swap_binary, on_change=on_change)


def _settled(embedded: EmbeddedBackend | None) -> Callable[[], Awaitable[None]]:
    async def settled() -> None:
        if embedded is not None:
            with contextlib.suppress(BackendUnavailable):
                await embedded.wait_ready(EMBEDDED_PATIENCE_S)

    return settled


def _heads() -> Heads | None:
    try:
        return load_heads()
    except (OSError, ValueError, KeyError) as error:
        _log.error("the trained heads cannot be used, requests are not weighed: %s", error)
        return None


def _never() -> bool:
    return False


def _local_generates(live: Live) -> Callable[[], bool]:
    def busy() -> bool:
        return any(item.side == "local" for item in live.in_flight.values())

    return busy


def state_dir(env: Mapping[str, str]) -> Path:
    base = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".local" / "state")
    return Path(base) / "brainrouter"
