"""One run of one kind of traffic through one target, and what it cost."""

from __future__ import annotations

import statistics
import threading
import urllib.request
from dataclasses import dataclass
from typing import Any

import uvloop

from bench import load
from bench.processes import PATHS, Target

# So many different conversations in turns; fewer of the large ones, which all have to be held.
CONVERSATIONS, CONVERSATION_BYTES = 32, 8 << 20
AT_LEAST = 5  # requests, of what is slow


@dataclass(frozen=True)
class Scenario:
    """One kind of traffic. A stream has `chunks`, each `pace_us` after the last; without chunks, answers are whole.

    `count` requests are sent in a round, in `parts` with the other targets' in between.
    """

    name: str
    size: int
    concurrency: int
    count: int
    chunks: int = 0
    pace_us: int = 0
    protocol: str = "chat"
    turn: int = load.TURN_BYTES
    parts: int = 1
    within_s: float = load.RUN_S


@dataclass(frozen=True)
class Figures:
    """Of one run. Times in microseconds: until the first token of a stream, else until the whole answer.

    `relay` is from the upstream's write of a chunk to its arrival; `cpu` is the target's, for each request.
    """

    p50: float
    p99: float
    per_second: float
    cpu: float
    cpu_chunk: float
    relay_p50: float
    relay_p99: float
    relay_max: float
    peak_mb: float


class Failed(Exception):
    """A run whose answers were not all whole, or not in time."""


def once(target: Target, scenario: Scenario, upstream_port: int, share: float = 1.0) -> Figures:
    """One run, after a few requests that are not counted. `share` of the requests are sent. Raises Failed."""
    if scenario.chunks:
        pace = f"http://127.0.0.1:{upstream_port}/pace/{scenario.chunks}/{scenario.pace_us}"
        urllib.request.urlopen(pace, timeout=10).close()
    url = target.at(PATHS[scenario.protocol])
    data = _requests(target, scenario, url)
    end = load.ENDS[scenario.protocol] if scenario.chunks else None
    count = max(
        scenario.concurrency, round(scenario.count * share), AT_LEAST if scenario.concurrency == 1 else 0
    )
    how: dict[str, Any] = {"end": end, "concurrency": scenario.concurrency, "within_s": scenario.within_s}
    if scenario.chunks * scenario.concurrency < 2000:
        _whole(target, scenario, uvloop.run(load.run(url, data, **how, count=max(4, scenario.concurrency))))
    before = target.cpu_s()
    with _Peak(target) as peak:
        sample = uvloop.run(load.run(url, data, **how, count=count))
    cpu_us = (target.cpu_s() - before) * 1e6
    _whole(target, scenario, sample)
    times = sorted(sample.first if scenario.chunks else sample.total)
    relay = sorted(sample.relay) or [0]
    return Figures(
        p50=statistics.median(times) / 1000,
        p99=_at(times, 0.99),
        per_second=sample.per_second,
        cpu=cpu_us / count,
        cpu_chunk=cpu_us / count / scenario.chunks if scenario.chunks else 0.0,
        relay_p50=statistics.median(relay) / 1000,
        relay_p99=_at(relay, 0.99),
        relay_max=relay[-1] / 1000,
        peak_mb=peak.mb,
    )


def _whole(target: Target, scenario: Scenario, sample: load.Sample) -> None:
    if sample.errors:
        raise Failed(f"{target.name} failed: {sample.errors[0][:200]}")


def _requests(target: Target, scenario: Scenario, url: str) -> list[bytes]:
    different = max(1, min(CONVERSATIONS, CONVERSATION_BYTES // scenario.size))
    bodies = (
        load.body(
            scenario.size,
            stream=scenario.chunks > 0,
            model=target.model,
            protocol=scenario.protocol,
            turn=scenario.turn,
            number=number,
        )
        for number in range(different)
    )
    return [load.request(url, body, target.headers) for body in bodies]


def _at(times: list[int], share: float) -> float:
    return times[min(len(times) - 1, int(len(times) * share))] / 1000


class _Peak:
    """The most memory that was resident while the block ran, looked at five times a second."""

    def __init__(self, target: Target) -> None:
        self.mb = 0.0
        self._target = target
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> _Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.mb = max(self.mb, self._target.rss_mb())
            if self._over.wait(0.2):
                return
