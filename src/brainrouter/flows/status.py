"""How everything is, told plainly: `/health`, `/api/routing-stats`, `/metrics`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from brainrouter import __version__
from brainrouter.live import Live
from brainrouter.wire.event import RoutingEvent

Part = Callable[[], dict[str, Any]]


class Status:
    """Joins what the live state and the parts say of themselves. Parts are asked anew each time."""

    def __init__(
        self, live: Live, cloud: Part, local: Part, classifier: Part, notes: Callable[[], dict[str, Any]]
    ) -> None:
        self._live = live
        self._parts = {"cloud": cloud, "local": local, "classifier": classifier}
        self._notes = notes

    def health(self) -> dict[str, Any]:
        """The body of /health. `status` is `ok` whenever the daemon serves."""
        return {
            "status": "ok",
            "version": __version__,
            "uptime_s": round(time.time() - self._live.started, 1),
            "draining": self._live.draining,
            "in_flight": len(self._live.in_flight),
            **{name: part() for name, part in self._parts.items()},
            "breakers": self._breakers(),
            **self._notes(),
        }

    def stats(self) -> dict[str, Any]:
        """The body of /api/routing-stats, over the whole run; latencies over the events kept in memory."""
        counts, events = self._live.counts, list(self._live.events)
        answered = sorted(
            event.total_ms for event in events if event.total_ms is not None and not event.error
        )
        decided = sorted(event.decide_ms for event in events if event.decide_ms is not None)
        return {
            "requests": counts["requests"],
            "cloud": counts["decision:cloud"],
            "local": counts["decision:local"],
            "fallbacks": counts["fallbacks"],
            "errors": counts["errors"],
            "in_flight": len(self._live.in_flight),
            "total_ms": _quantiles(answered),
            "decide_ms": _quantiles(decided),
            "reasons": _tally(events),
        }

    def _breakers(self) -> dict[str, dict[str, Any]]:
        now = time.monotonic()
        return {
            name: {"phase": state.phase(now), "failures": state.failures, "cause": state.cause}
            for name, state in self._live.breakers.items()
            if state.failures or state.open_until is not None
        }


class Metrics:
    """Prometheus counters, fed by every finished event."""

    def __init__(self, live: Live) -> None:
        self._registry = CollectorRegistry()
        labels = ["decision", "stage", "fallback", "outcome"]
        self._requests = Counter("brainrouter_requests", "Requests answered", labels, registry=self._registry)
        self._total = Histogram(
            "brainrouter_answer_seconds", "Arrival to last byte", ["decision"], registry=self._registry
        )
        self._decide = Histogram(
            "brainrouter_decide_seconds", "Time the decision took", registry=self._registry,
            buckets=(0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.2, 0.5),
        )  # fmt: skip
        self._tokens = Counter(
            "brainrouter_tokens", "Tokens by side", ["decision", "kind"], registry=self._registry
        )
        gauge = Gauge("brainrouter_in_flight", "Requests being answered", registry=self._registry)
        gauge.set_function(lambda: len(live.in_flight))

    def heard(self, event: RoutingEvent) -> None:
        """Count one finished request."""
        decision = event.decision or "none"
        outcome = "error" if event.error else "ok"
        self._requests.labels(
            decision, event.stage or "none", "yes" if event.fallback else "no", outcome
        ).inc()
        if event.total_ms is not None:
            self._total.labels(decision).observe(event.total_ms / 1000)
        if event.decide_ms is not None:
            self._decide.observe(event.decide_ms / 1000)
        for kind, count in (("prompt", event.prompt_tokens), ("completion", event.completion_tokens)):
            if count:
                self._tokens.labels(decision, kind).inc(count)

    def text(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self._registry)


def _quantiles(ordered: list[float]) -> dict[str, float | None]:
    if not ordered:
        return {"p50": None, "p95": None}
    return {
        "p50": ordered[len(ordered) // 2],
        "p95": ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))],
    }


def _tally(events: list[RoutingEvent]) -> dict[str, int]:
    tally: dict[str, int] = {}
    for event in events:
        reason = event.reason.split(" (")[0]
        tally[reason] = tally.get(reason, 0) + 1
    return tally
