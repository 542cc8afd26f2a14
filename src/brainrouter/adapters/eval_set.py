"""Labelled requests to score the decision on: the set that ships, and outcome-labelled files of a folder."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from brainrouter.brain.shape import Tool

SESSION = " >>> "
SETS = ("swe", "codegen", "toolcall", "general", "bcb")


@dataclass(frozen=True, slots=True)
class Turn:
    """One labelled turn: what was asked before in its session, if anything, and where it should go."""

    want: str
    group: str
    before: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request and how often each side succeeded; `large` is None where no cloud model was run."""

    set: str
    kind: str
    text: str
    tools: tuple[Tool, ...]
    small: float
    large: float | None


def shipped_turns() -> list[Turn]:
    """The labelled turns in the package."""
    text = (files("brainrouter.brain") / "eval_turns.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))
    return [_turn(*row) for row in rows]


def _turn(want: str, group: str, text: str) -> Turn:
    before, _, last = text.replace("\\n", "\n").rpartition(SESSION)
    return Turn(want, group, before or None, last)


class _Meta(msgspec.Struct):
    kind: str = ""
    tools: list[dict[str, Any]] | None = None


class _Row(msgspec.Struct):
    text: str
    p_small: float
    p_large: float | None = None
    meta: _Meta = msgspec.field(default_factory=_Meta)


def outcomes(folder: Path, split: str) -> list[Outcome]:
    """The rows of `<set>.<split>.jsonl` in a folder. Raises ValueError naming what cannot be read or is missing."""
    decoder = msgspec.json.Decoder(_Row)
    rows: list[Outcome] = []
    for name in SETS:
        file = folder / f"{name}.{split}.jsonl"
        if not file.is_file():
            continue
        for number, line in enumerate(file.read_bytes().splitlines(), 1):
            try:
                row = decoder.decode(line)
            except msgspec.MsgspecError as error:
                raise ValueError(f"{file}, line {number}: {error}") from error
            tools = tuple(
                Tool(
                    str(tool.get("name", "")),
                    str(tool.get("description", "")),
                    tuple(tool.get("params") or ()),
                )
                for tool in row.meta.tools or ()
            )
            rows.append(Outcome(name, row.meta.kind, row.text, tools, row.p_small, row.p_large))
    if not rows:
        raise ValueError(f"{folder}: there is no file such as swe.{split}.jsonl")
    return rows
