"""What runs and how it is, as the dashboard shows it: services, requests under way, the cloud's rest."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from brainrouter import __version__
from brainrouter.in_flight import InFlight
from brainrouter.live import Live
from brainrouter.policy.service_dot import cloud_dot, dot_of, local_dot

SHOWN = 20
RATE_AFTER_S = 0.2  # a rate over less says nothing
CLOUD = "cloud"


class Services:
    """Views over the live state. `health` is the body of /health; asked only when somebody looks."""

    def __init__(self, live: Live, health: Callable[[], dict[str, Any]]) -> None:
        self._live = live
        self._health = health

    def services(self) -> dict[str, Any]:
        """Each service with its `dot`; the cloud with its breaker, the local side with the models it holds."""
        health, now = self._health(), time.monotonic()
        breaker = self._live.breaker(CLOUD)
        phase = breaker.phase(now)
        models = {model.id: model.state for model in self._live.local_models if model.state != "stopped"}
        retry_s = max(0.0, breaker.open_until - now) if breaker.open_until is not None else None
        return {
            "cloud": {
                **health["cloud"],
                "dot": cloud_dot(health["cloud"], phase),
                "breaker": phase,
                "cause": breaker.cause,
                "retry_s": None if retry_s is None else round(retry_s),
            },
            "local": {
                **health["local"],
                "dot": local_dot(health["local"], models.values()),
                "running": models,
            },
            "classifier": {**health["classifier"], "dot": dot_of(health["classifier"])},
            "brainrouter": {
                "dot": "loading" if self._live.draining else "healthy",
                "version": __version__,
                "config": health["config"],
            },
        }

    def inference(self) -> dict[str, Any]:
        """What runs now, the oldest first; `active` counts all of it."""
        now = time.monotonic()
        running = list(self._live.in_flight.values())
        return {"active": len(running), "requests": [self._request(item, now) for item in running[:SHOWN]]}

    def waits_for_local(self) -> bool:
        """Whether some request waits for a local model, so that its loading is worth a look."""
        return any(item.phase == "waiting" and item.side == "local" for item in self._live.in_flight.values())

    def _request(self, item: InFlight, now: float) -> dict[str, Any]:
        event = item.event()
        elapsed = now - item.started
        return {
            "id": event.id,
            "phase": self._phase(item),
            "since": event.time,
            "elapsed_s": round(elapsed, 1),
            "pieces": item.pieces,
            "tokens_per_s": _rate(item, elapsed),
            "stream": event.stream,
            "dialect": event.dialect,
            "requested_model": event.requested_model,
            "harness": event.harness,
            "cwd": event.cwd,
            "prompt": event.prompt_excerpt,
            "decision": event.decision,
            "reason": event.reason,
            "stage": event.stage,
            "side": event.side,
            "provider": event.provider,
            "model": event.model,
            "fallback": event.fallback,
            "attempts": event.attempts,
        }

    def _phase(self, item: InFlight) -> str:
        """The recorder's word, made finer where the local side's state says more."""
        if item.phase != "waiting" or item.side != "local":
            return item.phase
        states = {model.id: model.state for model in self._live.local_models}
        match states.get(item.model or ""):
            case "starting":
                return "loading model"
            case "ready":
                return "prompt processing" if item.ask.stream else "generating"
            case _:
                return "waiting"


def _rate(item: InFlight, elapsed: float) -> float | None:
    """Pieces of the stream a second since the first, which with llama.cpp are tokens; None when it is too early."""
    first = item.first_byte_ms
    if first is None:
        return None
    generating = elapsed - first / 1000
    return round(item.pieces / generating, 1) if generating > RATE_AFTER_S else None
