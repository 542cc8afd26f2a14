"""Everything side by side: brainrouter, calling the upstream directly, nginx, and the peers. `python -m bench.suite`.

One run, one core each, all targets in turns, medians over the rounds; see README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import shutil
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bench import growth, peers, processes, report
from bench.behave import behaviour
from bench.measure import Failed, Figures, Scenario, once
from bench.processes import PATHS, NotStarted, Target
from tests.clients.install import NotInstallable

DIRECT, NGINX, OURS, AUTO, TRANSLATED = (
    "direct",
    "nginx",
    "brainrouter",
    "brainrouter auto",
    "brainrouter translated",
)
# Short runs in many parts: what the host does to one of them, it does to those of the others beside it.
CHAT = [
    Scenario("whole 1 KB", 1_000, 1, 400, parts=4),
    Scenario("whole 60 KB", 60_000, 1, 240, parts=4),
    Scenario("whole 600 KB", 600_000, 1, 240, parts=12),
    Scenario("rate 1 KB", 1_000, 64, 24_000, parts=6),
    Scenario("rate 60 KB", 60_000, 64, 6_000, parts=6),
    Scenario("first 1 KB", 1_000, 1, 60, 10, 1_000, parts=3),
    Scenario("first 60 KB", 60_000, 1, 160, 10, 1_000, parts=8),
    Scenario("first 600 KB", 600_000, 1, 30, 10, 1_000, parts=3),
    Scenario("20 streams", 1_000, 20, 20, 300, 5_000, parts=4),
    Scenario("500 streams", 1_000, 500, 500, 30, 100_000, within_s=20),
]
MESSAGES = [
    Scenario("messages, first 1 KB", 1_000, 1, 60, 10, 1_000, "messages", parts=3),
    Scenario("messages, first 60 KB", 60_000, 1, 120, 10, 1_000, "messages", parts=6),
    Scenario("messages, first 600 KB", 600_000, 1, 30, 10, 1_000, "messages", parts=3),
    Scenario("messages, 20 streams", 1_000, 20, 20, 300, 5_000, "messages"),
]
# No round is begun that would end later than this, so that the whole takes twelve minutes at most.
ROUNDS_S = 540.0
# Slow targets get fewer requests, and some of them all at once: what they take for one is known well enough from those.
SHARE = {"litellm": 0.04, "portkey": 0.15, "claude-code-router": 0.3}
AT_ONCE = ("litellm", "portkey")


def main() -> None:
    """The command line."""
    arguments = argparse.ArgumentParser(prog="python -m bench.suite", description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="one round with a third of the requests")
    arguments.add_argument("--rounds", type=int, help="3, or 1 with --quick")
    arguments.add_argument("--scale", type=float, help="times the number of requests; 1, or 0.3 with --quick")
    arguments.add_argument("--only", nargs="*", help="of the peers: litellm portkey claude-code-router")
    arguments.add_argument("--json", type=Path, help="write the figures to this file, too")
    arguments.add_argument("--docs", type=Path, help="write performance.md and its plots into this folder")
    arguments.add_argument(
        "--from", dest="old", type=Path, help="measure nothing: take the figures of this file"
    )
    options = arguments.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.scale = options.scale or (0.3 if options.quick else 1.0)
    figures = json.loads(options.old.read_text(encoding="utf-8")) if options.old else measured(options)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(report.page(figures))
    if options.docs:
        report.write(figures, options.docs)


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """All figures, as they are written to JSON."""
    began = time.monotonic()
    processes.pin(os.getpid(), processes.LOAD_CORE)
    missing: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(processes.upstream(10, 1.0))
        chat, translating = targets(stack, port, options.only, missing)
        seen: dict[str, dict[str, list[Figures]]] = {}
        failed: dict[str, dict[str, str]] = {}
        done = 0
        for number in range(options.rounds):
            at = time.monotonic()
            tell(f"round {number + 1} of {options.rounds}", began)
            for scenario in CHAT:
                _round(scenario, chat, number, port, options.scale, seen, failed)
            for scenario in MESSAGES:
                _round(scenario, translating, number, port, options.scale, seen, failed)
            done += 1
            if time.monotonic() + (time.monotonic() - at) > began + ROUNDS_S:
                break
        tell("behaviour", began)
        manners = {target.name: behaviour(target, port) for target in chat if target.name != AUTO}
        resident = {target.name: round(target.rss_mb(), 1) for target in (*chat, *translating) if target.pids}
        started = {
            target.name: {"s": round(target.started_s, 2), "mb": round(target.idle_mb, 1)}
            for target in (*chat, *translating)
            if target.pids and target.name != AUTO
        }
    tell("growth", began)
    with processes.upstream(10, 1.0) as port:
        grown = growth.measured(port, options.scale)
    return {
        "machine": machine(),
        "rounds": done,
        "scale": options.scale,
        "seconds": round(time.monotonic() - began),
        "versions": {name: peers.titled(name) for name in peers.PEERS},
        "missing": missing,
        "failed": failed,
        "runs": {
            name: {target: [_rounded(run) for run in runs] for target, runs in by_target.items()}
            for name, by_target in seen.items()
        },
        "started": started,
        "resident": resident,
        "behaviour": manners,
        "growth": grown,
    }


def targets(
    stack: contextlib.ExitStack, port: int, only: list[str] | None, missing: dict[str, str]
) -> tuple[list[Target], list[Target]]:
    """Who speaks chat completions, and who translates messages; what cannot be had is told in `missing`."""
    direct = Target(DIRECT, f"http://127.0.0.1:{port}{PATHS['chat']}")
    ours = stack.enter_context(processes.brainrouter(port))
    chat = [direct, ours, dataclasses.replace(ours, name=AUTO, model="auto")]
    translating = [stack.enter_context(processes.brainrouter(port, name=TRANSLATED, protocol="messages"))]
    if shutil.which("nginx"):
        chat.insert(1, stack.enter_context(processes.nginx(port)))
    else:
        missing[NGINX] = "it is not installed"
    for name, start in peers.PEERS.items():
        if only is not None and name not in only:
            missing[name] = "not asked for"
            continue
        target = _entered(stack, start(port), name, missing)
        if target is None:
            continue
        if name != "claude-code-router":
            chat.append(target)
        if name != "portkey":
            translating.append(target)
    return chat, translating


def _entered(
    stack: contextlib.ExitStack, start: AbstractContextManager[Target], name: str, missing: dict[str, str]
) -> Target | None:
    try:
        return stack.enter_context(start)
    except (NotStarted, NotInstallable, OSError) as error:
        missing[name] = str(error)[:300]
        print(f"  {name}: {error}", file=sys.stderr)
        return None


def _round(
    scenario: Scenario, among: list[Target], number: int, port: int, scale: float,
    seen: dict[str, dict[str, list[Figures]]], failed: dict[str, dict[str, str]],
) -> None:  # fmt: skip
    """One scenario through every target in its parts, the order turned each time. Who failed once is left out after."""
    for part in range(scenario.parts):
        at = (number * scenario.parts + part) % len(among)
        for target in among[at:] + among[:at]:
            parts = 1 if target.name in AT_ONCE else scenario.parts
            if part >= parts or target.name in failed.get(scenario.name, {}):
                continue
            try:
                figures = once(target, scenario, port, scale * SHARE.get(target.name, 1.0) / parts)
            except (Failed, OSError) as error:
                failed.setdefault(scenario.name, {})[target.name] = str(error)[:300]
                print(f"  {scenario.name}: {error}", file=sys.stderr)
                continue
            seen.setdefault(scenario.name, {}).setdefault(target.name, []).append(figures)


def _rounded(run: Figures) -> dict[str, float]:
    return {name: round(figure, 1) for name, figure in dataclasses.asdict(run).items()}


def tell(what: str, began: float) -> None:
    """Where the run is."""
    print(f"  {time.monotonic() - began:4.0f} s: {what}", file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """What it was measured on."""
    model = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(),
        "model": model,
        "memory_gb": round(memory / 1e9),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": f"{platform.python_version()} ({'the system’s' if sys.base_prefix == '/usr' else 'built from source'})",
        "date": time.strftime("%Y-%m-%d"),
        "load": round(os.getloadavg()[0], 2),
    }


if __name__ == "__main__":
    main()
