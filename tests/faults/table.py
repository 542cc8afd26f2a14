"""docs/faults.md: what the last whole run of each row of the catalogue found."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from tests.faults.catalogue import Promise

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
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
of them runs in `make test`. A run that was broken off goes on where it was: what held on the same code is not done twice.

"""
Told = dict[str, Any]


def wanted() -> list[str]:
    """The id of every row."""
    return [f"{letter}{number}" for letter, (_, count) in SECTIONS.items() for number in range(1, count + 1)]


def page(done: list[Told]) -> str:
    """The page of these rows."""
    lines = [HEAD + _when(done), "", *_summary(done)]
    newest = max(done, key=lambda told: told["at"])["commit"]
    for letter, (title, _) in SECTIONS.items():
        rows = [told for told in done if told["id"].startswith(letter)]
        if rows:
            lines += ["", f"## {title}", ""]
            lines += ["| id | what is done | what must follow | cases | took | figures | result |"]
            lines += ["| --- | --- | --- | --- | --- | --- | --- |", *(_line(told, newest) for told in rows)]
    return "\n".join(lines) + "\n"


def _when(done: list[Told]) -> str:
    """Which runs the page tells of: when, where, of what code, for how long, and how much of it."""
    days, commits = sorted({told["at"][:10] for told in done}), Counter(told["commit"] for told in done)
    machines = " and ".join(sorted({told["machine"] for told in done}))
    minutes = sum(told["took_s"] for told in done) / 60
    of = " and ".join(f"{commit} ({count} rows)" for commit, count in commits.most_common())
    said = f"{' to '.join([days[0], days[-1]][: len(days)])}, {machines}; of commit {of}; {minutes:.0f} minutes in all. "
    short = [told["id"] for told in done if told["share"] < 1]
    if short:
        return f"{said}Not at its full repetitions: {', '.join(short)}."
    return f"{said}Every row at its full repetitions."


def _summary(done: list[Told]) -> list[str]:
    tried, failed = sum(told["tried"] for told in done), sum(bool(told["wrong"]) for told in done)
    twice = sum(bool(told["earlier"]) and not told["wrong"] for told in done)
    bounds = [kept for told in done for kept in told["bounds"].values()]
    lines = ["| promise | broken | of checks |", "| --- | --- | --- |"]
    lines.append(f"| rows that failed | {failed} | {len(done)} rows, {tried:,} cases |")
    lines.append(f"| rows that held only when run again on the same code | {twice} | {len(done)} rows |")
    for promise in Promise:
        counts = [told["promises"].get(promise.name, (0, 0)) for told in done]
        lines.append(f"| {promise.value} | {sum(b for _, b in counts)} | {sum(c for c, _ in counts):,} |")
    lines.append(f"| times beyond their limit | {bounds.count(False)} | {len(bounds)} |")
    return lines


def _line(told: Told, newest: str) -> str:
    figures = "; ".join(f"{name} {value}" for name, value in told["figures"].items())
    result = f"FAILED: {told['wrong']}" if told["wrong"] else "held"
    if told["earlier"]:
        result += f"; failed before: {' / '.join(told['earlier'])}"
    if told["commit"] != newest:
        result += f" (of {told['commit']})"
    if told["share"] < 1:
        result += f" (a share of {told['share']:g})"
    took = f"{told['took_s']:.0f} s"
    cells = (told["id"], told["title"], told["expected"], f"{told['tried']:,}", took, figures, result)
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
