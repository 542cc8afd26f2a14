"""How everything is, told plainly: `/health`, `/api/routing-stats`, `/metrics`."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter as TallyOf
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from operator import attrgetter
from typing import Any

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from brainrouter import __version__
from brainrouter.live import Live
from brainrouter.quantile import quantile
from brainrouter.wire.event import RoutingEvent

ANSWER_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0)
DECIDE_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5)
_LABELS = attrgetter("decision", "stage", "fallback", "error")
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
            "started": self._live.started,
            "uptime_s": round(time.time() - self._live.started, 1),
            "draining": self._live.draining,
            "in_flight": len(self._live.in_flight),
            **{name: part() for name, part in self._parts.items()},
            "breakers": self._breakers(),
            **self._notes(),
        }

    def stats(self) -> dict[str, Any]:
        """The body of /api/routing-stats, over the whole run; latencies over the events kept in memory."""
        totals, events = self._live.totals(), list(self._live.events)
        answered = sorted(
            event.total_ms for event in events if event.total_ms is not None and not event.error
        )
        decided = sorted(event.decide_ms for event in events if event.decide_ms is not None)
        return {
            "requests": totals.requests,
            "cloud": totals.decisions["cloud"],
            "local": totals.decisions["local"],
            "fallbacks": totals.fallbacks,
            "errors": totals.errors,
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


@dataclass(frozen=True, slots=True)
class Gauges:
    """What the other rooms count."""

    client_connections: int
    upstream_connections: int
    tasks: int
    events_lost: int


class Metrics(Collector):
    """Prometheus metrics. Hearing an event costs a few additions; the families are made when somebody scrapes."""

    def __init__(self, live: Live, gauges: Callable[[], Gauges]) -> None:
        self._live = live
        self._gauges = gauges
        self._requests: TallyOf[tuple[str, str, str, str]] = TallyOf()
        self._tokens: TallyOf[tuple[str, str]] = TallyOf()
        self._answer = defaultdict[str, _Histogram](lambda: _Histogram(ANSWER_BUCKETS_S))
        self._decide = _Histogram(DECIDE_BUCKETS_S)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)  # memory, descriptors, CPU; on Linux only

    def heard(self, events: list[RoutingEvent]) -> None:
        """Count finished requests."""
        for (decision, stage, fallback, error), count in TallyOf(map(_LABELS, events)).items():
            told = (
                decision or "none",
                stage or "none",
                "yes" if fallback else "no",
                "error" if error else "ok",
            )
            self._requests[told] += count
        self._decide.observe([event.decide_ms for event in events if event.decide_ms is not None])
        for decision in {event.decision for event in events}:
            own = [event for event in events if event.decision == decision]
            side = decision or "none"
            self._answer[side].observe([event.total_ms for event in own if event.total_ms is not None])
            self._tokens[(side, "prompt")] += sum([event.prompt_tokens or 0 for event in own])
            self._tokens[(side, "completion")] += sum([event.completion_tokens or 0 for event in own])

    def collect(self) -> Iterator[Metric]:
        """The families, for prometheus_client."""
        labels = ["decision", "stage", "fallback", "outcome"]
        requests = CounterMetricFamily("brainrouter_requests", "Requests answered", labels=labels)
        for label_values, count in self._requests.items():
            requests.add_metric(label_values, count)
        tokens = CounterMetricFamily("brainrouter_tokens", "Tokens by side", labels=["decision", "kind"])
        for label_values, count in self._tokens.items():
            tokens.add_metric(label_values, count)
        answer = HistogramMetricFamily(
            "brainrouter_answer_seconds", "Arrival to last byte", labels=["decision"]
        )
        for decision, histogram in self._answer.items():
            answer.add_metric([decision], histogram.buckets(), histogram.total)
        decide = HistogramMetricFamily("brainrouter_decide_seconds", "Time the decision took")
        decide.add_metric([], self._decide.buckets(), self._decide.total)
        in_flight = GaugeMetricFamily(
            "brainrouter_in_flight", "Requests being answered", len(self._live.in_flight)
        )
        yield from (requests, tokens, answer, decide, in_flight)
        yield from self._now()

    def _now(self) -> Iterator[Metric]:
        """What is true at this moment."""
        live, gauges, now = self._live, self._gauges(), time.monotonic()
        connections = GaugeMetricFamily("brainrouter_connections", "Open connections", labels=["end"])
        connections.add_metric(["client"], gauges.client_connections)
        connections.add_metric(["upstream"], gauges.upstream_connections)
        resting = GaugeMetricFamily(
            "brainrouter_resting", "1 while nothing is sent there", labels=["upstream"]
        )
        for name, state in live.breakers.items():
            resting.add_metric([name], state.phase(now) == "open")
        reachable = GaugeMetricFamily("brainrouter_reachable", "Whether a side answers", labels=["side"])
        for side, answers in (("cloud", live.cloud_reachable), ("local", live.local_reachable)):
            if answers is not None:
                reachable.add_metric([side], answers)
        lost = CounterMetricFamily("brainrouter_events_lost", "Events that could not be kept")
        lost.add_metric([], gauges.events_lost)
        yield from (connections, resting, reachable, lost)
        yield GaugeMetricFamily("brainrouter_tasks", "Tasks on the event loop", gauges.tasks)

    def text(self) -> bytes:
        """The metrics in Prometheus' text format."""
        self._live.tell()
        return generate_latest(self._registry)


class _Histogram:
    """Counts by upper bound, and their sum, in seconds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._bucket = partial(bisect_left, [bound * 1000 for bound in bounds])
        self.total = 0.0

    def observe(self, took_ms: list[float]) -> None:
        for bucket, count in TallyOf(map(self._bucket, took_ms)).items():
            self._counts[bucket] += count
        self.total += sum(took_ms) / 1000

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as the format wants them."""
        names = [*map(str, self._bounds), "+Inf"]
        return list(zip(names, map(float, accumulate(self._counts)), strict=True))


def _quantiles(ordered: list[float]) -> dict[str, float | None]:
    if not ordered:
        return {"p50": None, "p95": None}
    return {
        "p50": quantile(ordered, 0.5),
        "p95": quantile(ordered, 0.95),
    }


def _tally(events: list[RoutingEvent]) -> dict[str, int]:
    tally: dict[str, int] = {}
    for event in events:
        reason = event.reason.split(" (")[0]
        tally[reason] = tally.get(reason, 0) + 1
    return tally
