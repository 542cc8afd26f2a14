"""The one place that builds everything. Only the command line knows it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brainrouter.adapters.embedded import BackendUnavailable, EmbeddedBackend
from brainrouter.adapters.heads_file import load_heads
from brainrouter.adapters.lean_file import LeanFile
from brainrouter.adapters.listen import Listening
from brainrouter.adapters.logs import log_events
from brainrouter.adapters.model_file import cache_dir
from brainrouter.adapters.review_state import state_file
from brainrouter.adapters.review_store import ReviewStore
from brainrouter.adapters.rule_files import RuleFiles
from brainrouter.adapters.store import EventStore
from brainrouter.adapters.upstream import Timeouts, Upstream
from brainrouter.brain.heads import Heads
from brainrouter.bridge.supervise import Bridges
from brainrouter.config import Loaded, Settings, key_from
from brainrouter.edge.http.callers import Callers, folder_of
from brainrouter.edge.http.dashboard import Dashboard
from brainrouter.edge.http.decide import DecideRoute
from brainrouter.edge.http.generate import Generate
from brainrouter.edge.http.review import ReviewRoutes
from brainrouter.edge.http.routes import App, Routes, server_error_body
from brainrouter.edge.http.views import Views
from brainrouter.flows.classifier_start import ClassifierStart
from brainrouter.flows.count import TokenCount, Tokenizer, behind_llama_swap, of_embedded
from brainrouter.flows.decide import DEFAULT_KNOB, Decider, Taste
from brainrouter.flows.project_guard import ProjectGuard
from brainrouter.flows.record import Recorder
from brainrouter.flows.relay import Relay, Side
from brainrouter.flows.review import ReviewDesk
from brainrouter.flows.review_ask import Reviewer
from brainrouter.flows.review_material import Gatherer
from brainrouter.flows.review_settings import ReviewConfig, ReviewControl
from brainrouter.flows.status import Metrics, Status
from brainrouter.flows.watch_backends import BackendWatch
from brainrouter.http1.client import Client
from brainrouter.http1.limits import Limits
from brainrouter.http1.server import Server
from brainrouter.live import Live
from brainrouter.policy import failure as kinds
from brainrouter.policy.failure import Failure
from brainrouter.policy.plan import Backends
from brainrouter.wiring_bridges import build_bridges
from brainrouter.wiring_dashboard import Board, build_board, cloud_part, local_part

EMBEDDED = "embedded llama.cpp"
EMBEDDED_WINDOW = 8192
EMBEDDED_PATIENCE_S = 600.0
ASSUMED_WINDOW = (
    32_768  # of a local model that does not say; one that is smaller refuses, and is asked with less
)

_log = logging.getLogger("brainrouter")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which sides to use: base URLs, or None. `embedded` puts the embedded model in the local side's place."""

    cloud_url: str | None
    local_url: str | None
    embedded: bool = False
    llama_swap_binary: Path | None = None
    notes: dict[str, Any] = field(default_factory=dict[str, Any])


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
    _settings: Settings
    _routes: Callable[[Callers], Routes]
    _store: EventStore
    _client: Client
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    again: bool = False

    def restart(self) -> None:
        """Ask for a graceful end, after which whoever started us starts us again."""
        self.again = True
        self.stop()

    def stop(self) -> None:
        """Ask for a graceful end: no new requests, the running ones may finish within limits.drain_s."""
        self.live.draining = True
        self._stopping.set()

    async def run(self, listening: Listening, on_serving: Callable[[], None]) -> None:
        """Serve on bound sockets until `stop`. Everything that was started is ended before this returns."""
        self._store.start()
        callers = Callers()
        try:
            async with asyncio.TaskGroup() as group:
                await self.review.open(group, f"http://{_shown(listening)}")
                server = self._server(callers)
                await server.serve([listening.tcp, listening.unix])
                on_serving()
                work = [self.watch.run(), self.classifier.run(), self.board.run()]
                if self.embedded is not None:
                    work.append(self.embedded.start())
                background = [group.create_task(_kept(part)) for part in work]
                chats = self.bridges.run(f"http://{_shown(listening)}", listening.path)
                bridges = group.create_task(_kept(chats))
                gc.collect()
                gc.freeze()
                await self._stopping.wait()
                bridges.cancel()
                self.board.close()
                await server.drain(self._settings.limits.drain_s)
                self.review.close()
                for task in background:
                    task.cancel()
        finally:
            callers.close()
            await self._close()

    def _server(self, callers: Callers) -> Server:
        limits = Limits(body_bytes=self._settings.limits.body_bytes)
        return Server(App(self._routes(callers), callers.admits), limits, server_error_body)

    async def _close(self) -> None:
        self.live.tell()
        await self.classifier.close()
        if self.embedded is not None:
            await self.embedded.close()
        await self._client.close()
        self._store.close()


async def _kept(work: Coroutine[Any, Any, None]) -> None:
    """Background work may fail; the daemon serves on without it."""
    try:
        await work
    except Exception:
        _log.exception("%s ended", work.__qualname__)


def build(loaded: Loaded, choice: Choice, env: Mapping[str, str], client: Client) -> Daemon:
    """Build the daemon from its settings. Call inside a running event loop."""
    settings = loaded.settings
    live = Live()
    embedded = _embedded(choice, env, lambda: watch.soon())
    cloud = _cloud(settings, choice, env, client)
    local = _local(settings, choice, env, client, embedded)

    def backends() -> Backends:
        fallback = embedded.model if embedded else settings.llama_swap.fallback_model
        usual = fallback or _first_model(live)
        return Backends("auto" if cloud else None, usual if local else None, fallback if local else None)

    recorder = Recorder(live, "manifest", EMBEDDED if embedded else "llama-swap")
    classifier = ClassifierStart(
        settings,
        cache_dir(env),
        busy=_local_generates(live) if embedded else _never,
        after=_settled(embedded),
    )
    decider = _decider(settings, live, backends, classifier, embedded=embedded is not None)
    guard = ProjectGuard(RuleFiles(Path(env.get("HOME") or "~").expanduser()))
    lean_file = LeanFile(settings.llama_swap.local_system_prompt)
    relay = Relay(
        live, decider, backends, cloud, local, recorder, lean_file.text, settings.manifest.protocols,
        settings.llama_swap.tool_slimming, guard, settings.llama_swap.kept_tools,
    )  # fmt: skip
    count = TokenCount(live, backends, _tokenizer(local, embedded))
    watch = BackendWatch(live, cloud, local)
    metrics = Metrics(live)
    store = EventStore(state_dir(env) / "brainrouter.db")
    live.listeners += [metrics.heard, store.add, log_events]
    status = Status(
        live,
        lambda: cloud_part(settings, choice.cloud_url, env, live),
        lambda: local_part(choice.local_url, live, embedded, backends()),
        classifier.status,
        lambda: {
            "config_files": list(map(str, loaded.files)),
            "setup": choice.notes,
            "events_lost": store.lost,
        },
    )
    review = _review(settings, env, live, relay, recorder, store, backends)

    board = build_board(settings, env, live, status, watch, store.path, local, lambda: daemon.restart())
    bridges = build_bridges(loaded, env, board.bridges)

    def routes(callers: Callers) -> Routes:
        generate = Generate(
            live, relay, recorder, lambda request, running: callers.note(request.peer, running), count
        )
        views = Views(live, status.health, status.stats, metrics.text)
        decide = DecideRoute(live, decider, guard, callers.folder)
        return _table(generate, views, decide, ReviewRoutes(review, folder_of), board.routes)

    parts = (live, embedded, classifier, watch, status.health, review, board, bridges)
    daemon = Daemon(*parts, settings, routes, store, client)
    return daemon


def _table(
    generate: Generate, views: Views, decide: DecideRoute, review: ReviewRoutes, dashboard: Dashboard
) -> Routes:
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
    dashboard.add_to(routes)
    return routes


def _review(
    settings: Settings,
    env: Mapping[str, str],
    live: Live,
    relay: Relay,
    recorder: Recorder,
    store: EventStore,
    backends: Callable[[], Backends],
) -> ReviewDesk:
    """The review desk: projects below the user's home and below `review.roots` may be looked into."""
    home = Path(env.get("HOME") or "~").expanduser()
    file = state_file(env)
    gatherer = Gatherer(
        [home, *(Path(root).expanduser() for root in settings.review.roots)], home, file.parent
    )

    def window(config: ReviewConfig) -> int | None:
        """The tokens that fit when it is sure that a local model will read them."""
        now = backends()
        if config.forced_mode != "local" and now.cloud_model is not None:
            return None
        wanted = (config.forced_mode == "local" and config.forced_model) or now.local_model
        known = next((model.context for model in live.local_models if model.id == wanted), None)
        return known or settings.llama_swap.context_tokens or ASSUMED_WINDOW

    control = ReviewControl(settings.review, file, lambda: [model.id for model in live.local_models])
    reviewer = Reviewer(relay, recorder, window, settings.review.timeout_s)
    return ReviewDesk(ReviewStore(store), gatherer, reviewer, control)


def _shown(listening: Listening) -> str:
    host = listening.tcp.getsockname()[0]
    return f"[{host}]:{listening.port}" if ":" in host else f"{host}:{listening.port}"


def _cloud(settings: Settings, choice: Choice, env: Mapping[str, str], client: Client) -> Side | None:
    if choice.cloud_url is None:
        return None
    section = settings.manifest
    timeouts = Timeouts(section.first_byte_s, section.stall_s, settings.limits.total_s)
    key = key_from(env, section.api_key_env)
    return Side(Upstream(client, choice.cloud_url, "cloud", timeouts), key.reveal() if key else None)


def _local(
    settings: Settings,
    choice: Choice,
    env: Mapping[str, str],
    client: Client,
    embedded: EmbeddedBackend | None,
) -> Side | None:
    section = settings.llama_swap
    timeouts = Timeouts(section.first_byte_s, section.stall_s, settings.limits.total_s)
    if embedded is not None:

        async def ready() -> None:
            try:
                await embedded.wait_ready(section.first_byte_s)
            except BackendUnavailable as error:
                raise Failure(kinds.UNREACHABLE, f"the embedded model is not available: {error}") from error

        return Side(Upstream(client, embedded.base_url, "local", timeouts), embedded.api_key, ready)
    if choice.local_url is None:
        return None
    key = key_from(env, section.api_key_env)
    return Side(Upstream(client, choice.local_url, "local", timeouts), key.reveal() if key else None)


def _tokenizer(local: Side | None, embedded: EmbeddedBackend | None) -> Tokenizer | None:
    if local is None:
        return None
    if embedded is not None:
        return of_embedded(local.upstream, local.key, embedded.status)
    return behind_llama_swap(local.upstream, local.key)


def _embedded(
    choice: Choice, env: Mapping[str, str], on_change: Callable[[], None]
) -> EmbeddedBackend | None:
    if not choice.embedded:
        return None
    return EmbeddedBackend(cache_dir(env), llama_swap=choice.llama_swap_binary, on_change=on_change)


def _first_model(live: Live) -> str | None:
    """Without a configured fallback_model: a model that is loaded, else the first one listed."""
    ready = next((model.id for model in live.local_models if model.state == "ready"), None)
    return ready or (live.local_models[0].id if live.local_models else None)


def _settled(embedded: EmbeddedBackend | None) -> Callable[[], Awaitable[None]]:
    async def settled() -> None:
        if embedded is not None:
            with contextlib.suppress(BackendUnavailable):
                await embedded.wait_ready(EMBEDDED_PATIENCE_S)

    return settled


def _decider(
    settings: Settings,
    live: Live,
    backends: Callable[[], Backends],
    classifier: ClassifierStart,
    *,
    embedded: bool,
) -> Decider:
    section = settings.decision
    knob = DEFAULT_KNOB if section.knob is None else section.knob
    taste = Taste(knob, section.turn_budget, section.ability)
    window = _window(settings, live, embedded)
    deadline_s = section.deadline_ms / 1000
    return Decider(_heads(), taste, live.sessions, backends, window, classifier.current, deadline_s)


def _heads() -> Heads | None:
    try:
        return load_heads()
    except (OSError, ValueError, KeyError) as error:
        _log.error("the trained heads cannot be used, requests are not weighed: %s", error)
        return None


def _window(settings: Settings, live: Live, embedded: bool) -> Callable[[str | None], int | None]:
    """The context of a local model: what was configured, what was discovered, what is built in."""

    def window(name: str | None) -> int | None:
        found = next((model.context for model in live.local_models if model.id == name), None)
        return settings.llama_swap.context_tokens or found or (EMBEDDED_WINDOW if embedded else None)

    return window


def _never() -> bool:
    return False


def _local_generates(live: Live) -> Callable[[], bool]:
    def busy() -> bool:
        return any(item.event.provider == EMBEDDED for item in live.in_flight.values())

    return busy


def state_dir(env: Mapping[str, str]) -> Path:
    base = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".local" / "state")
    return Path(base) / "brainrouter"
