"""The one place of in-memory state: what runs now, what just happened, how the upstreams are. One loop, no locks."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from brainrouter.brain.session import Sessions
from brainrouter.in_flight import InFlight
from brainrouter.policy.breaker import HEALTHY, Breaker
from brainrouter.wire.event import RoutingEvent

EVENTS_KEPT = 500
Listener = Callable[[list[RoutingEvent]], None]


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
class Totals:
    """Counts of the requests that are over, since the start."""

    requests: int = 0
    fallbacks: int = 0
    errors: int = 0
    decisions: Counter[str | None] = field(default_factory=Counter[str | None])

    def add(self, events: list[RoutingEvent]) -> None:
        self.requests += len(events)
        self.decisions.update([event.decision for event in events])
        self.fallbacks += len([event for event in events if event.fallback])
        self.errors += len([event for event in events if event.error])


@dataclass(slots=True)
class Live:
    """Everything the daemon knows that need not survive it."""

    started: float = field(default_factory=time.time)
    events: deque[RoutingEvent] = field(default_factory=lambda: deque[RoutingEvent](maxlen=EVENTS_KEPT))
    in_flight: dict[int, InFlight] = field(default_factory=dict[int, InFlight])
    breakers: dict[str, Breaker] = field(default_factory=dict[str, Breaker])
    local_models: list[LocalModel] = field(default_factory=list[LocalModel])
    sessions: Sessions = field(default_factory=Sessions)
    local_names: dict[str, str] = field(default_factory=dict[str, str])
    # prompt tokens a second, as each local model last reported them
    read_rates: dict[str, float] = field(default_factory=dict[str, float])
    local_reachable: bool | None = None
    cloud_reachable: bool | None = None
    draining: bool = False
    told: Totals = field(default_factory=Totals)
    listeners: list[Listener] = field(default_factory=list[Listener])
    unheard: list[RoutingEvent] = field(default_factory=list[RoutingEvent])
    next_id: int = 1

    def over(self, event: RoutingEvent) -> bool:
        """A request is past. True when `tell` should be called soon: listeners hear batches."""
        self.events.appendleft(event)
        self.unheard.append(event)
        return len(self.unheard) == 1

    def tell(self) -> None:
        """Hand what has finished since the last time to everyone who listens."""
        events, self.unheard = self.unheard, []
        if events:
            self.told.add(events)
            for listener in self.listeners:
                listener(events)

    def totals(self) -> Totals:
        """The counts, with what has just finished."""
        self.tell()
        return self.told

    def take_id(self) -> int:
        number = self.next_id
        self.next_id += 1
        return number

    def breaker(self, name: str) -> Breaker:
        return self.breakers.get(name, HEALTHY)

    def sees(self, model: str) -> bool:
        """Whether a local model is known to see images."""
        return any(known.vision for known in self.local_models if known.id == model)

    def set_local_models(self, models: list[LocalModel]) -> None:
        """Replace what the local backend offers; names map keys and aliases to keys."""
        self.local_models = models
        names = {alias: model.id for model in models for alias in model.aliases}
        self.local_names = names | {model.id: model.id for model in models}
