"""docs/faults.md: what the last whole run of the catalogue found."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from tests.faults.catalogue import OUTCOMES, Outcome, Promise

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
SECTIONS = {
    "U": ("Upstreams that fail", 22),
    "C": ("Clients that misbehave", 14),
    "K": ("The classifier in trouble", 6),
    "S": ("The system around it", 11),
    "A": ("Attacks", 23),
}
HEAD = """# What it survives

Written by `make faults`; do not edit. Every row starts the real daemon, puts scripted peers around it (`tests/sim/`), does
to it what the row says, and checks what it must do then; the rows are in `tests/faults/` and `tests/attacks/`. A quick set
of them runs in `make test`.

"""


def wanted() -> list[str]:
    """The id of every row."""
    return [f"{letter}{number}" for letter, (_, count) in SECTIONS.items() for number in range(1, count + 1)]


def text() -> str:
    """The page, of the rows that were run."""
    done = [OUTCOMES[name] for name in wanted() if name in OUTCOMES]
    lines = [HEAD + f"Last run on {_machine()}.\n", *_summary(done)]
    for letter, (title, _) in SECTIONS.items():
        rows = [outcome for outcome in done if outcome.row.id.startswith(letter)]
        if rows:
            lines += [
                "",
                f"## {title}",
                "",
                "| id | what is done | what must follow | cases | figures | result |",
            ]
            lines += ["| --- | --- | --- | --- | --- | --- |", *map(_line, rows)]
    return "\n".join(lines) + "\n"


def write() -> None:
    """Write the page, if every row was run."""
    if OUTCOMES.keys() >= set(wanted()):
        PAGE.write_text(text(), encoding="utf-8")


def _summary(done: list[Outcome]) -> list[str]:
    tried, failed = sum(outcome.tried for outcome in done), sum(bool(outcome.wrong) for outcome in done)
    lines = ["| promise | broken | of checks |", "| --- | --- | --- |"]
    lines.append(f"| rows that failed | {failed} | {len(done)} rows, {tried:,} cases |")
    for promise in Promise:
        counts = [outcome.promises.get(promise, (0, 0)) for outcome in done]
        lines.append(f"| {promise.value} | {sum(b for _, b in counts)} | {sum(c for c, _ in counts):,} |")
    return lines


def _line(outcome: Outcome) -> str:
    row = outcome.row
    figures = "; ".join(f"{name} {value}" for name, value in outcome.figures.items())
    result = f"FAILED: {outcome.wrong}" if outcome.wrong else "held"
    cells = (row.id, row.title, row.expected, f"{outcome.tried:,}", figures, result)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _machine() -> str:
    return f"{os.cpu_count()} cores of {platform.machine()}, {platform.system()}, Python {platform.python_version()}"
