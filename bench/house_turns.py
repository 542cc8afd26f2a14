"""Turns of our own writing for training: everyday harness requests that no benchmark holds. Labels are our opinion."""

from __future__ import annotations

from pathlib import Path

from bench.routing_data import Row

FILE = Path(__file__).with_name("house_turns.txt")
# How likely we think a usual local model and a large cloud one are to succeed on each class.
BELIEFS = {"e": (0.93, 0.96), "m": (0.65, 0.87), "h": (0.2, 0.62)}


def house_rows() -> list[Row]:
    """The turns as rows; `examples` repeats them, since they are few and every leaf wants some."""
    rows: list[Row] = []
    for number, line in enumerate(FILE.read_text(encoding="utf-8").splitlines()):
        label, _, text = line.partition("\t")
        if label in BELIEFS:
            small, large = BELIEFS[label]
            rows.append(
                Row(
                    f"house:{number}",
                    "house",
                    f"house-{label}",
                    text.replace("\\n", "\n"),
                    (),
                    small,
                    large,
                    {},
                    {},
                )
            )
    return rows
