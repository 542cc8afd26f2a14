"""docs/faults.md: what the last whole run of each row of the catalogue found."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

from tests.faults.catalogue import OUTCOMES, Outcome, Promise

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "faults.md"
KEPT = ROOT / ".cache" / "faults"
SECTIONS = {
    "U": ("Upstreams that fail", 22),
    "C": ("Clients that misbehave", 14),
    "K": ("The classifier in trouble", 6),
    "S": ("The system around it", 11),
    "A": ("Attacks", 25),
}
HEAD = """# What it survives

Written by `make faults`; do not edit. Every row starts the real daemon, puts scripted peers around it (`tests/sim/`), does
to it what the row says, and checks what it must do then; the rows are in `tests/faults/` and `tests/attacks/`. A quick set
of them runs in `make test`. Each row tells of its own last run, as `make faults ARGS="-k U7"` may run one again.

"""
Told = dict[str, Any]


def wanted() -> list[str]:
    """The id of every row."""
    return [f"{letter}{number}" for letter, (_, count) in SECTIONS.items() for number in range(1, count + 1)]


def keep() -> None:
    """Keep what this run found, beside what earlier ones found of other rows."""
    KEPT.mkdir(parents=True, exist_ok=True)
    for name, outcome in OUTCOMES.items():
        (KEPT / f"{name}.json").write_text(json.dumps(_told(outcome)), encoding="utf-8")


def write() -> None:
    """Write the page, if every row has had a whole run here."""
    files = [KEPT / f"{name}.json" for name in wanted()]
    if all(file.exists() for file in files):
        PAGE.write_text(
            page([json.loads(file.read_text(encoding="utf-8")) for file in files]), encoding="utf-8"
        )


def text() -> str:
    """The table of this run."""
    return page([_told(OUTCOMES[name]) for name in wanted() if name in OUTCOMES])


def page(done: list[Told]) -> str:
    """The page of these rows."""
    lines = [HEAD + f"Last run on {_machine()}.\n", *_summary(done)]
    for letter, (title, _) in SECTIONS.items():
        rows = [told for told in done if told["id"].startswith(letter)]
        if rows:
            lines += [
                "",
                f"## {title}",
                "",
                "| id | what is done | what must follow | cases | figures | result |",
            ]
            lines += ["| --- | --- | --- | --- | --- | --- |", *map(_line, rows)]
    return "\n".join(lines) + "\n"


def _told(outcome: Outcome) -> Told:
    row = outcome.row
    promises = {promise.name: counts for promise, counts in outcome.promises.items()}
    return {
        "id": row.id, "title": row.title, "expected": row.expected, "tried": outcome.tried,
        "figures": outcome.figures, "promises": promises, "wrong": outcome.wrong,
    }  # fmt: skip


def _summary(done: list[Told]) -> list[str]:
    tried, failed = sum(told["tried"] for told in done), sum(bool(told["wrong"]) for told in done)
    lines = ["| promise | broken | of checks |", "| --- | --- | --- |"]
    lines.append(f"| rows that failed | {failed} | {len(done)} rows, {tried:,} cases |")
    for promise in Promise:
        counts = [told["promises"].get(promise.name, (0, 0)) for told in done]
        lines.append(f"| {promise.value} | {sum(b for _, b in counts)} | {sum(c for c, _ in counts):,} |")
    return lines


def _line(told: Told) -> str:
    figures = "; ".join(f"{name} {value}" for name, value in told["figures"].items())
    result = f"FAILED: {told['wrong']}" if told["wrong"] else "held"
    cells = (told["id"], told["title"], told["expected"], f"{told['tried']:,}", figures, result)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _machine() -> str:
    return f"{os.cpu_count()} cores of {platform.machine()}, {platform.system()}, Python {platform.python_version()}"
