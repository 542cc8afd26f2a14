"""Builds what one reading of the settings makes: both sides, the decision, the relay, the reviewer.

Nothing of it changes once it is built: new settings make a new Service, and requests under way end on the old one.
A part of wiring, which alone knows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from brainrouter.adapters.embedded import BackendUnavailable, EmbeddedBackend
from brainrouter.adapters.lean_file import LeanFile
from brainrouter.adapters.review_state import state_file
from brainrouter.adapters.upstream import Timeouts, Upstream
from brainrouter.brain.heads import Heads
from brainrouter.config import Loaded, Settings, key_from
from brainrouter.flows.classifier_start import ClassifierStart
from brainrouter.flows.count import TokenCount, Tokenizer, behind_llama_swap, of_embedded
from brainrouter.flows.decide import DEFAULT_KNOB, Decider, Taste
from brainrouter.flows.project_guard import ProjectGuard
from brainrouter.flows.record import Recorder
from brainrouter.flows.relay import Relay, Side
from brainrouter.flows.review_ask import Reviewer
from brainrouter.flows.review_material import Gatherer
from brainrouter.flows.review_settings import ReviewConfig
from brainrouter.http1.client import Client
from brainrouter.live import Live
from brainrouter.policy import failure as kinds
from brainrouter.policy.failure import Failure
from brainrouter.policy.plan import Backends

EMBEDDED_WINDOW = 8192
ASSUMED_WINDOW = (
    32_768  # of a local model that does not say; one that is smaller refuses, and is asked with less
)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which sides to use: base URLs, or None. `embedded` puts the embedded model in the local side's place.

    `found` are the sections whose side was looked for, since no file mentions them.
    """

    cloud_url: str | None
    local_url: str | None
    embedded: bool = False
    llama_swap_binary: Path | None = None
    found: frozenset[str] = frozenset()
    notes: dict[str, Any] = field(default_factory=dict[str, Any])

    def renewed(self, loaded: Loaded) -> Choice:
        """The choice under new settings. A side that was found stays, unless a file names it now."""
        settings, notes = loaded.settings, dict(self.notes)
        cloud, local = settings.manifest.base_url, settings.llama_swap.base_url
        if "manifest" in self.found and "manifest" not in loaded.mentioned:
            cloud = self.cloud_url
        elif "manifest" in self.found:
            notes["cloud"] = "configured"
        if self.embedded or ("llama_swap" in self.found and "llama_swap" not in loaded.mentioned):
            local = self.local_url
        return replace(self, cloud_url=cloud, local_url=local, notes=notes)


@dataclass(frozen=True, slots=True)
class Lasting:
    """What stays while settings come and go."""

    env: Mapping[str, str]
    live: Live
    client: Client
    recorder: Recorder
    classifier: ClassifierStart
    embedded: EmbeddedBackend | None
    heads: Heads | None
    guard: ProjectGuard


@dataclass(frozen=True, slots=True)
class Service:
    """One reading of the settings, at work."""

    loaded: Loaded
    choice: Choice
    cloud: Side | None
    local: Side | None
    backends: Callable[[], Backends]
    decider: Decider
    relay: Relay
    count: TokenCount
    gatherer: Gatherer
    reviewer: Reviewer


def build_service(loaded: Loaded, choice: Choice, lasting: Lasting) -> Service:
    """Build all of it; touches nothing that is at work."""
    settings, live, embedded = loaded.settings, lasting.live, lasting.embedded
    cloud, local = _cloud(settings, choice, lasting), _local(settings, choice, lasting)

    def backends() -> Backends:
        fallback = embedded.model if embedded else settings.llama_swap.fallback_model
        usual = fallback or _first_model(live)
        return Backends("auto" if cloud else None, usual if local else None, fallback if local else None)

    decider = _decider(settings, lasting, backends)
    lean_file = LeanFile(settings.llama_swap.local_system_prompt)
    relay = Relay(
        live, decider.decide, backends, cloud, local, lasting.recorder, lean_file.text, settings.manifest.protocols,
        settings.llama_swap.tool_slimming, lasting.guard.holds, settings.llama_swap.kept_tools,
        _window(settings, lasting),
    )  # fmt: skip
    count = TokenCount(live, backends, _tokenizer(local, embedded))
    reviewer = _reviewer(settings, lasting, relay, backends)
    gatherer = _gatherer(settings, lasting.env)
    return Service(loaded, choice, cloud, local, backends, decider, relay, count, gatherer, reviewer)


def _cloud(settings: Settings, choice: Choice, lasting: Lasting) -> Side | None:
    if choice.cloud_url is None:
        return None
    section = settings.manifest
    timeouts = Timeouts(section.first_byte_s, section.stall_s, settings.limits.total_s)
    key = key_from(lasting.env, section.api_key_env)
    upstream = Upstream(lasting.client, choice.cloud_url, "cloud", timeouts)
    return Side(upstream, key.reveal() if key else None)


def _local(settings: Settings, choice: Choice, lasting: Lasting) -> Side | None:
    section, embedded = settings.llama_swap, lasting.embedded
    timeouts = Timeouts(section.first_byte_s, section.stall_s, settings.limits.total_s)
    if embedded is not None:

        async def ready() -> None:
            try:
                await embedded.wait_ready(section.first_byte_s)
            except BackendUnavailable as error:
                raise Failure(kinds.UNREACHABLE, f"the embedded model is not available: {error}") from error

        upstream = Upstream(lasting.client, embedded.base_url, "local", timeouts)
        return Side(upstream, embedded.api_key, ready)
    if choice.local_url is None:
        return None
    key = key_from(lasting.env, section.api_key_env)
    upstream = Upstream(lasting.client, choice.local_url, "local", timeouts)
    return Side(upstream, key.reveal() if key else None)


def _tokenizer(local: Side | None, embedded: EmbeddedBackend | None) -> Tokenizer | None:
    if local is None:
        return None
    if embedded is not None:
        return of_embedded(local.upstream, local.key, embedded.status)
    return behind_llama_swap(local.upstream, local.key)


def _first_model(live: Live) -> str | None:
    """Without a configured fallback_model: a model that is loaded, else the first one listed."""
    ready = next((model.id for model in live.local_models if model.state == "ready"), None)
    return ready or (live.local_models[0].id if live.local_models else None)


def _decider(settings: Settings, lasting: Lasting, backends: Callable[[], Backends]) -> Decider:
    section, live = settings.decision, lasting.live
    taste = Taste(
        DEFAULT_KNOB if section.knob is None else section.knob, section.turn_budget, section.ability
    )
    window = _window(settings, lasting)
    deadline_s = section.deadline_ms / 1000
    return Decider(
        lasting.heads, taste, live.sessions, backends, window, lasting.classifier.current, deadline_s
    )


def _window(settings: Settings, lasting: Lasting) -> Callable[[str | None], int | None]:
    built_in = EMBEDDED_WINDOW if lasting.embedded else None

    def window(name: str | None) -> int | None:
        """The context of a local model: what was configured, what was discovered, what is built in."""
        found = next((model.context for model in lasting.live.local_models if model.id == name), None)
        return settings.llama_swap.context_tokens or found or built_in

    return window


def _gatherer(settings: Settings, env: Mapping[str, str]) -> Gatherer:
    """Projects below the user's home and below `review.roots` may be looked into."""
    home = Path(env.get("HOME") or "~").expanduser()
    roots = [home, *(Path(root).expanduser() for root in settings.review.roots)]
    return Gatherer(roots, home, state_file(env).parent)


def _reviewer(
    settings: Settings, lasting: Lasting, relay: Relay, backends: Callable[[], Backends]
) -> Reviewer:
    live = lasting.live

    def window(config: ReviewConfig) -> int | None:
        """The tokens that fit when it is sure that a local model will read them."""
        now = backends()
        if config.forced_mode != "local" and now.cloud_model is not None:
            return None
        wanted = (config.forced_mode == "local" and config.forced_model) or now.local_model
        known = next((model.context for model in live.local_models if model.id == wanted), None)
        return known or settings.llama_swap.context_tokens or ASSUMED_WINDOW

    return Reviewer(relay, lasting.recorder, window, settings.review.timeout_s)
