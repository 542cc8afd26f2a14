"""The bench at its smallest: what it measures is there, and the page is made of what there is."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import processes, report
from bench.behave import behaviour
from bench.growth import _fill
from bench.measure import Failed, Figures, Scenario, once
from bench.processes import PATHS, NotStarted, Target
from bench.suite import CHAT, MESSAGES, machine


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with processes.upstream(3, 1.0) as number:
        yield number


@pytest.fixture(scope="module")
def direct(port: int) -> Target:
    return Target("direct", f"http://127.0.0.1:{port}{PATHS['chat']}")


@pytest.fixture(scope="module")
def ours(port: int) -> Iterator[Target]:
    with processes.brainrouter(port) as target:
        yield target


def small(scenario: Scenario) -> Scenario:
    few = min(scenario.concurrency, 4)
    return dataclasses.replace(
        scenario, concurrency=few, count=few, chunks=min(scenario.chunks, 3), pace_us=1000
    )


@pytest.mark.parametrize("scenario", CHAT, ids=lambda scenario: scenario.name)
def test_every_scenario_goes_through_brainrouter_and_past_it(
    direct: Target, ours: Target, port: int, scenario: Scenario
) -> None:
    for target in (direct, ours, dataclasses.replace(ours, model="auto")):
        figures = once(target, small(scenario), port)
        assert 0 < figures.p50 <= figures.p99
        assert figures.per_second > 0
        assert (figures.relay_p99 > 0) == (scenario.chunks > 0)
    assert figures.cpu > 0
    assert figures.peak_mb > 5


def test_messages_are_translated_and_measured_to_their_first_token(port: int) -> None:
    with processes.brainrouter(port, name="translated", protocol="messages") as target:
        for scenario in MESSAGES:
            assert once(target, small(scenario), port).p50 > 0


def test_an_upstream_that_is_left_and_an_answer_that_nobody_reads_are_seen(ours: Target, port: int) -> None:
    seen = behaviour(ours, port)
    assert (seen["closed_ms"] or math.inf) < 5000
    assert seen["held_mb"] is not None


def test_what_fails_or_does_not_start_is_told(port: int) -> None:
    nowhere = Target("nowhere", f"http://127.0.0.1:{port}/v1/chat/completions", model="x" * 4)
    with pytest.raises(Failed, match="not done within"):
        once(nowhere, Scenario("slow", 1_000, 1, 1, 50, 100_000, within_s=0.2), port)
    with pytest.raises(NotStarted, match="ended with 3"), processes.started("x", ["sh", "-c", "exit 3"], 9):
        pass


def test_a_daemon_starts_with_events_that_were_stored(port: int, tmp_path: Path) -> None:
    _fill(tmp_path / "brainrouter.db", 200)
    with processes.brainrouter(port, database=tmp_path / "brainrouter.db") as target:
        assert target.started_s > 0


def test_the_page_is_made_of_what_there_is() -> None:
    run = Figures(100.0, 200.0, 5000.0, 50.0, 5.0, 60.0, 90.0, 95.0, 40.0)
    faster = dataclasses.replace(run, p50=50.0, per_second=9000.0, cpu=0.0)
    row = {"added": 1.0, "cpu": 2.0, "auto_added": 3.0, "auto_cpu": 4.0, "cpu_chunk": 5.0, "relay": 6.0, "relay_p99": 7.0,
           "mb": 8.0, "p50": 9.0, "started_ms": 10.0}  # fmt: skip
    figures: dict[str, Any] = {
        "machine": machine(), "rounds": 1, "scale": 1.0, "seconds": 9, "versions": {"litellm": "litellm 1"},
        "missing": {"litellm": "it gave no answer"}, "failed": {"rate 1 KB": {"portkey": "portkey failed: 500"}},
        "runs": {scenario.name: {"direct": [dataclasses.asdict(faster)], "brainrouter": [dataclasses.asdict(run)]}
                 for scenario in CHAT},
        "started": {"brainrouter": {"s": 0.3, "mb": 50.0}}, "resident": {"brainrouter": 60.0},
        "behaviour": {"brainrouter": {"closed_ms": None, "held_mb": 1.0}},
        "growth": {"bytes": [{**row, "x": 300_000}, {**row, "x": 1_200_000}], "turns": [{**row, "x": 6}],
                   "streams": [{**row, "x": 1}], "events": [{**row, "x": 0}, {**row, "x": 100_000}]},
    }  # fmt: skip
    slow, quick = (
        {**dataclasses.asdict(run), "per_second": 2000.0},
        {**dataclasses.asdict(run), "per_second": 9000.0},
    )
    figures["runs"]["rate 1 KB"] |= {"brainrouter": [slow, slow, quick], "nginx": [quick, slow, quick]}
    page = report.page(figures)
    assert (
        "| requests/s, 64 connections | at least 0.35 x nginx's | 1 | held |" in page
    )  # of the turns, not of medians
    assert "| brainrouter | 50 | 0 | 50 | 0 | 50 | 0 | 50 | 50 |" in page
    assert "| 200 MB unread cost | at most 10 MB | 1 | held |" in page
    assert "| added, 1 KB | at most 3 x nginx's | - | not measured |" in page
    assert "litellm was not measured: it gave no answer" in page
    assert "- in *rate 1 KB*, portkey failed: 500" in page
    assert "| brainrouter | 0.3 s | 50 | 60 | never | 1 MB |" in page


def test_the_published_page_is_made_of_its_figures_and_holds_all_that_was_promised() -> None:
    """requirement: speed.bars"""
    docs = report.ROOT / "docs"
    figures = json.loads((docs / "performance" / "figures.json").read_text(encoding="utf-8"))
    published = (docs / "performance.md").read_text(encoding="utf-8")
    assert re.sub(r"!\[.*\]\(.*\)\n\n", "", published) == report.page(figures)
    bars = [line for line in published.splitlines() if re.search(r"\| at (most|least) ", line)]
    assert len(bars) == 14
    assert [line for line in bars if not line.endswith("| held |")] == []
