"""S9: a long life of every kind of ask and failure; how long is `--soak-min` of `make faults`."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.daemon import Stage
from tests.faults.catalogue import Promise, Row, Trial
from tests.faults.client_rows import leave
from tests.faults.crowd import Crowd
from tests.faults.rig import (
    TEXT,
    eventually,
    honest,
    metrics,
    own_files,
    pid_of,
    resident_kb,
    short_tempered,
)
from tests.faults.ways import WAYS, unique
from tests.sim.scripts import Script, answer, cut_after, reset, status

A_ROUND = 132
ROUNDS_MIN = 30
MB_FOR_10_000 = 1.0  # requests
DAY_S = 86_400.0  # each request has its own patience; the row itself goes on for as long as was asked for


@dataclass(frozen=True)
class Rest:
    """A daemon that does nothing, after so many requests."""

    asked: int
    memory_mb: float
    files: int
    tasks: int


@dataclass(frozen=True)
class Line:
    """A straight line through points: its slope, and how sure that is (one standard error)."""

    slope: float
    error: float


def fitted(points: Sequence[tuple[float, float]]) -> Line:
    """The line of least squares through at least three points that do not all have the same x."""
    count = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    left = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    return Line(slope, (left / (count - 2) / spread) ** 0.5)


def soak(trial: Trial) -> None:
    """The first third fills caches, rings and pools; over the rest a line is fitted through what is held at rest."""
    with short_tempered() as stage:
        chance, rests = random.Random(9), list[Rest]()
        until, asked = time.monotonic() + trial.soak_s, 0
        while time.monotonic() < until or len(rests) < ROUNDS_MIN:
            for _ in range(3):
                _a_round(trial, stage, chance)
                asked += A_ROUND
            rests.append(_resting(stage, asked))
        settled = rests[len(rests) // 3 :]
        memory = fitted([(rest.asked / 10_000, rest.memory_mb) for rest in settled])
        files = fitted([(rest.asked / 10_000, rest.files) for rest in settled])
        first, last = settled[0], settled[-1]
        trial.figure("for", trial.soak_s / 60, "min")
        trial.figure("requests", asked)
        trial.figure("memory", f"{first.memory_mb:.1f} MB after a third, {last.memory_mb:.1f} at the end")
        trial.figure(
            "memory for 10,000 requests", f"{memory.slope:+.2f} MB (+-{memory.error:.2f}) by a fitted line"
        )
        trial.figure(
            "descriptors", f"{first.files} and {last.files}, {files.slope:+.2f} (+-{files.error:.2f})"
        )
        trial.figure("tasks", f"{first.tasks} and {last.tasks}")
        database = stage.daemon.database.stat().st_size / (1 << 20)
        trial.figure("database (30 days are kept)", database / asked * 10_000, "MB for 10,000 requests")
        trial.hold(Promise.LEAK, memory.slope <= MB_FOR_10_000, f"{memory}: {settled[::10]}")
        trial.hold(Promise.LEAK, files.slope <= max(0.5, 2 * files.error), f"{files}: {settled[::10]}")
        trial.hold(Promise.LEAK, last.files <= first.files + 2, f"descriptors: {settled[::10]}")
        trial.hold(Promise.LEAK, last.tasks <= first.tasks, f"tasks: {settled[::10]}")
        trial.tried(asked)


def _a_round(trial: Trial, stage: Stage, chance: random.Random) -> None:
    """Some hundred requests: most are answered, some fail in one way or another, some clients leave."""
    ways: list[Script] = [
        answer(TEXT), answer(TEXT * 20), reset(), status(500), status(400), cut_after(7, "reset", text=TEXT),
        answer(TEXT, gap_s=0.01), answer(TEXT, tool_calls=[{"name": "f", "arguments": {"a": "1"}}]),
    ]  # fmt: skip
    stage.manifest.script(answer(TEXT))
    stage.llama_swap.script(answer(TEXT))
    for heard in asyncio.run(Crowd(stage.daemon.port).requests(120, 16, WAYS)):
        honest(trial, heard)
    for script in chance.sample(ways, 3):
        stage.manifest.script(script)
        stage.llama_swap.script(chance.choice(ways))
        for way in chance.sample(WAYS, 3):
            way.ask(stage.daemon, chance.choice(["cloud", "local", "auto"]), unique("soak"))
    stage.manifest.script(answer(TEXT, gap_s=0.05))
    leave(chance.choice(WAYS).open(stage.daemon, "cloud", "leaves"), chance.choice(["FIN", "RST"]))
    stage.daemon.send("POST", "/v1/chat/completions", b"{rubbish")
    for path in ("/metrics", "/api/routing-stats", "/v1/models", "/"):
        stage.daemon.send("GET", path)


def _resting(stage: Stage, asked: int) -> Rest:
    eventually(lambda: stage.daemon.health()["in_flight"] == 0, what="at rest")
    for sim in (stage.manifest, stage.llama_swap):
        sim.reset()
    tasks = int(metrics(stage.daemon)["brainrouter_tasks"])
    return Rest(asked, resident_kb(pid_of(stage.daemon)) / 1024, own_files(stage.daemon), tasks)


ROWS = (
    Row("S9", "a long soak of every kind of ask and failure", "memory, descriptors and tasks flat, by a line fitted after the first third", "long", soak, DAY_S),
)  # fmt: skip
