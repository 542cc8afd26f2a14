"""How what a request costs brainrouter grows: with its body, its turns, the streams beside it, the events stored."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from bench import processes
from bench.measure import Scenario, once
from bench.processes import PATHS, Target
from brainrouter.adapters.store import WAITING_MAX, EventStore
from brainrouter.wire.event import RoutingEvent

SIZES = (1_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_200_000)
CONVERSATION = 120_000
TURNS = (20_000, 5_000, 1_000, 250)
STREAMS = (1, 10, 50, 100, 250, 500)
EVENTS = (0, 1_000, 10_000, 100_000)
ROUNDS = 6


def measured(port: int, scale: float) -> dict[str, list[dict[str, float]]]:
    """Rows for each of the four, in microseconds and megabytes."""
    direct = Target("direct", f"http://127.0.0.1:{port}{PATHS['chat']}")
    with processes.brainrouter(port) as ours:
        auto = dataclasses.replace(ours, name="auto", model="auto")
        three = (direct, ours, auto)
        return {
            "bytes": [_whole(three, Scenario("body", size, 1, 60), port, scale, size) for size in SIZES],
            "turns": [
                _whole(
                    three,
                    Scenario("turns", CONVERSATION, 1, 60, turn=turn),
                    port,
                    scale,
                    CONVERSATION // turn,
                )
                for turn in TURNS
            ],
            "streams": [_streams(ours, count, port) for count in STREAMS],
            "events": _events(port, scale),
        }


def _whole(
    targets: tuple[Target, Target, Target], scenario: Scenario, port: int, scale: float, x: float
) -> dict[str, float]:
    turns = [[once(target, scenario, port, scale / 2) for target in targets] for _ in range(ROUNDS)]
    direct, ours, auto = zip(*turns, strict=True)
    return {
        "x": x,
        "added": _median(one.p50 - before.p50 for one, before in zip(ours, direct, strict=True)),
        "cpu": _median(one.cpu for one in ours),
        "auto_added": _median(one.p50 - before.p50 for one, before in zip(auto, direct, strict=True)),
        "auto_cpu": _median(one.cpu for one in auto),
    }


def _median(figures: Iterable[float]) -> float:
    return round(statistics.median(figures), 1)


def _streams(ours: Target, count: int, port: int) -> dict[str, float]:
    """A chunk each 100 ms, for two seconds."""
    figures = once(ours, Scenario("streams", 1_000, count, count, 20, 100_000), port)
    return {
        "x": count,
        "cpu_chunk": round(figures.cpu_chunk, 1),
        "relay": round(figures.relay_p50, 1),
        "relay_p99": round(figures.relay_p99, 1),
        "mb": round(figures.peak_mb, 1),
    }


def _events(port: int, scale: float) -> list[dict[str, float]]:
    """A request of 1 KB in daemons that start with so many events of the last days in their stores, in turns."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="brainrouter-bench-")))
        started: list[tuple[int, Target]] = []
        for count in EVENTS:
            database = folder / f"{count}.db"
            _fill(database, count)
            started.append((count, stack.enter_context(processes.brainrouter(port, database=database))))
        scenario = Scenario("events", 1_000, 1, 100)
        turns = [[once(ours, scenario, port, scale) for _, ours in started] for _ in range(ROUNDS)]
        return [
            {
                "x": count,
                "p50": _median(turn[at].p50 for turn in turns),
                "cpu": _median(turn[at].cpu for turn in turns),
                "started_ms": round(ours.started_s * 1000),
                "mb": round(ours.idle_mb, 1),
            }
            for at, (count, ours) in enumerate(started)
        ]


def _fill(database: Path, count: int) -> None:
    store = EventStore(database)
    store.start()
    now = time.time()
    batch = WAITING_MAX // 2
    for first in range(0, count, batch):
        store.add([_event(number, now) for number in range(first, min(count, first + batch))])
        store.run(lambda _: None).result(60)  # until they are written
    store.close(60)


def _event(number: int, now: float) -> RoutingEvent:
    return RoutingEvent(
        id=number + 1, time=now - 20 * 86_400 * (1 - number / 100_000), dialect="chat", requested_model="auto",
        stream=True, harness="omp", session=f"session-{number // 20}", prompt_excerpt="Rename the function.",
        decision="cloud", reason="heads", stage="heads", side="cloud", provider="bench", model="bench", status=200,
        attempts=["cloud"], first_byte_ms=400.0, total_ms=2_000.0, prompt_tokens=12_000, completion_tokens=300,
    )  # fmt: skip
