"""The one place of in-memory state: what runs now, what just happened, how the upstreams are. One loop, no locks."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from brainrouter.policy.breaker import Breaker
from brainrouter.wire.event import RoutingEvent

EVENTS_KEPT = 500


@dataclass(slots=True)
class InFlight:
    """A request that is being answered. `phase` is what `/api/inference-status` shows."""

    event: RoutingEvent
    started: float
    phase: str = "classifying"
    pieces: int = 0


@dataclass(slots=True)
class LocalModel:
    """A model that the local backend offers. `state` is llama-swap's; `context` is its window in tokens, if known."""

    id: str
    state: str = "stopped"
    context: int | None = None
    aliases: tuple[str, ...] = ()
    description: str = ""
    vision: bool = False


@dataclass(slots=True)
class Live:
    """Everything the daemon knows that need not survive it."""

    started: float = field(default_factory=time.time)
    events: deque[RoutingEvent] = field(default_factory=lambda: deque[RoutingEvent](maxlen=EVENTS_KEPT))
    in_flight: dict[int, InFlight] = field(default_factory=dict[int, InFlight])
    breakers: dict[str, Breaker] = field(default_factory=dict[str, Breaker])
    local_models: list[LocalModel] = field(default_factory=list[LocalModel])
    local_names: dict[str, str] = field(default_factory=dict[str, str])
    local_reachable: bool | None = None
    cloud_reachable: bool | None = None
    draining: bool = False
    counts: Counter[str] = field(default_factory=Counter[str])
    listeners: list[Callable[[RoutingEvent], None]] = field(
        default_factory=list[Callable[[RoutingEvent], None]]
    )
    next_id: int = 1

    def begin(self, event: RoutingEvent, now: float) -> InFlight:
        """Register a request that has just arrived. `now` is monotonic."""
        running = InFlight(event, now)
        self.in_flight[event.id] = running
        return running

    def finish(self, running: InFlight) -> None:
        """Move a request to the past, exactly once, and tell everyone who listens."""
        if self.in_flight.pop(running.event.id, None) is None:
            return
        event = running.event
        self.events.appendleft(event)
        self.counts["requests"] += 1
        self.counts[f"decision:{event.decision}"] += 1
        if event.fallback:
            self.counts["fallbacks"] += 1
        if event.error:
            self.counts["errors"] += 1
        for listener in self.listeners:
            listener(event)

    def take_id(self) -> int:
        number = self.next_id
        self.next_id += 1
        return number

    def breaker(self, name: str) -> Breaker:
        return self.breakers.get(name) or Breaker()

    def set_local_models(self, models: list[LocalModel]) -> None:
        """Replace what the local backend offers; names map keys and aliases to keys."""
        self.local_models = models
        names = {alias: model.id for model in models for alias in model.aliases}
        self.local_names = names | {model.id: model.id for model in models}
