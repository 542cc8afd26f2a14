"""The table of docs/routing-quality.md: `python -m bench.routing_report DATA [--split dev]`.

What the shipped heads reach on outcome-labelled requests, with intervals over resampled rows, as Markdown.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from brainrouter.adapters.eval_set import SETS, outcomes
from brainrouter.adapters.heads_file import load_heads
from brainrouter.flows.evaluate import MIXED, Measured, on_outcomes

LEAST_ROWS = 15  # a smaller part of a set says nothing


def report(rows: list[Measured]) -> list[str]:
    """Lines of the table: each set, its parts, and the coding sets pooled."""
    lines = ["| set | n | AUC local | APGR | lift95 | ECE |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [_line(row) for row in rows if row.quality.count >= LEAST_ROWS]
    return lines


def _line(row: Measured) -> str:
    q = row.quality
    auc = f"{q.auc_local:.3f} [{row.auc_interval[0]:.3f}, {row.auc_interval[1]:.3f}]"
    known = not math.isnan(q.apgr)
    apgr = f"{q.apgr:.3f} [{row.apgr_interval[0]:.3f}, {row.apgr_interval[1]:.3f}]" if known else "-"
    lift = f"{q.lift95:+.1f}" if known else "-"
    name = f" .{row.set.strip()}" if row.set.startswith(" ") else row.set
    return f"| {name} | {q.count} | {auc} | {apgr} | {lift} | {q.ece:.3f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="dev")
    options = parser.parse_args()
    rows = outcomes(options.data, options.split)
    ours = [row for row in on_outcomes(load_heads(), rows) if row.router == "brainrouter"]
    parts = {row.kind: row.set for row in rows}
    order = {name: at for at, name in enumerate((*MIXED, "mixed", *SETS))}

    def place(row: Measured) -> tuple[int, bool]:
        return order.get(parts.get(row.set.strip(), row.set), len(order)), row.set.startswith(" ")

    print("\n".join(report(sorted(ours, key=place))))


if __name__ == "__main__":
    main()
