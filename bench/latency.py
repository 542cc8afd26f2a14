"""What the proxy adds: each target in turns, many rounds, medians. `python -m bench.latency`; see README.md."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import shutil
import statistics
from typing import Any

from bench import processes
from bench.measure import Failed, Figures, Scenario, once
from bench.processes import Target

DIRECT = "direct"


def scenarios(options: argparse.Namespace) -> list[Scenario]:
    """All combinations; many connections ask more, streams fewer."""
    sizes = [1_000, 60_000] + ([600_000] if options.large else [])
    made: list[Scenario] = []
    for stream in (False, True):
        for concurrency in (1, 64):
            for size in sizes:
                kind = "stream, first token" if stream else "whole answer"
                name = f"{kind}, {size // 1000} KB, {concurrency} conn"
                count = (60 if concurrency == 1 else 384) if stream else (400 if concurrency == 1 else 3000)
                scale = options.scale * (0.25 if size > 100_000 else 1)
                sent = max(concurrency, int(count * scale))
                chunks, pace = (options.chunks, round(options.pace_ms * 1000)) if stream else (0, 0)
                made.append(Scenario(name, size, concurrency, sent, chunks, pace))
    return made


def median(runs: list[Figures], what: str) -> float:
    """The median over the rounds."""
    return statistics.median(getattr(run, what) for run in runs)


def measure(
    targets: list[Target], port: int, options: argparse.Namespace
) -> dict[Scenario, dict[str, list[Figures]]]:
    """Every scenario through every target, the order turned each round."""
    seen: dict[Scenario, dict[str, list[Figures]]] = {}
    for number in range(options.rounds):
        for scenario in scenarios(options):
            turn = number % len(targets)
            for target in targets[turn:] + targets[:turn]:
                try:
                    figures = once(target, scenario, port)
                except Failed as error:
                    raise SystemExit(str(error)) from None
                seen.setdefault(scenario, {}).setdefault(target.name, []).append(figures)
    return seen


def rows(seen: dict[Scenario, dict[str, list[Figures]]]) -> list[dict[str, Any]]:
    """Medians, with the difference and the ratio to calling the upstream directly."""
    made: list[dict[str, Any]] = []
    for scenario, by_target in seen.items():
        direct = by_target[DIRECT]
        for name, runs in by_target.items():
            row: dict[str, Any] = {"scenario": scenario.name, "target": name}
            row |= {
                what: round(median(runs, what), 1)
                for what in ("p50", "p99", "relay_p50", "per_second", "cpu")
            }
            row["added_p50"] = round(median(runs, "p50") - median(direct, "p50"), 1)
            row["added_p99"] = round(median(runs, "p99") - median(direct, "p99"), 1)
            row["ratio_p50"] = round(median(runs, "p50") / median(direct, "p50"), 2)
            row["ratio_rate"] = round(median(runs, "per_second") / median(direct, "per_second"), 2)
            made.append(row)
    return made


def show(table: list[dict[str, Any]]) -> None:
    """The table, in microseconds."""
    heads = ("p50", "p99", "added p50", "added p99", "x direct", "relay p50", "req/s", "x direct", "CPU/req")
    keys = (
        "p50",
        "p99",
        "added_p50",
        "added_p99",
        "ratio_p50",
        "relay_p50",
        "per_second",
        "ratio_rate",
        "cpu",
    )
    print(f"{'microseconds':36} {'target':12}" + "".join(f"{head:>11}" for head in heads))
    last = ""
    for row in table:
        title = row["scenario"] if row["scenario"] != last else ""
        last = row["scenario"]
        cells = [f"{row[key]:>11.2f}" if key.startswith("ratio") else f"{row[key]:>11.0f}" for key in keys]
        print(f"{title:36} {row['target']:12}" + "".join(cells))


def main() -> None:
    """The command line."""
    arguments = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument(
        "--scale", type=float, default=1.0, help="times the number of requests of each run"
    )
    arguments.add_argument("--large", action="store_true", help="600 KB bodies too")
    arguments.add_argument("--chunks", type=int, default=10, help="of each stream")
    arguments.add_argument("--pace-ms", type=float, default=5.0, help="between chunks; 0 is a burst")
    arguments.add_argument("--model", default="cloud")
    arguments.add_argument(
        "--proxy", help="measure what runs at this base URL (with /v1) in place of brainrouter"
    )
    arguments.add_argument("--upstream-port", type=int, help="with --proxy: where its upstream runs already")
    arguments.add_argument("--json", help="write the rows to this file too")
    options = arguments.parse_args()
    processes.pin(os.getpid(), processes.LOAD_CORE)
    with contextlib.ExitStack() as stack:
        port = options.upstream_port or stack.enter_context(
            processes.upstream(options.chunks, options.pace_ms)
        )
        model = options.model
        targets = [Target(DIRECT, f"http://127.0.0.1:{port}/v1/chat/completions", model=model)]
        if options.proxy:
            targets.append(Target("proxy", options.proxy.rstrip("/") + "/chat/completions", model=model))
        else:
            ours = stack.enter_context(processes.brainrouter(port))
            targets.append(dataclasses.replace(ours, model=model))
        if shutil.which("nginx"):
            targets.append(stack.enter_context(processes.nginx(port)))
        table = rows(measure(targets, port, options))
        show(table)
        for target in targets[1:]:
            if target.pids:
                print(f"{target.name}: {target.rss_mb():.0f} MB resident after the run")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(table, file, indent=1)


if __name__ == "__main__":
    main()
