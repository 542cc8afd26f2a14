"""Outcome-labelled requests: the public evaluations that the heads are trained and scored on. Never committed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainrouter.brain.hashing import SIZE, clipped, hashed
from brainrouter.brain.shape import Tool, shape

SETS = ("swe", "codegen", "toolcall", "general", "bcb")
MIXED = ("swe", "codegen", "toolcall")

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """One request and how often each side succeeded on it; `large` is nan where no cloud model was run."""

    id: str
    set: str
    kind: str
    text: str
    tools: tuple[Tool, ...]
    small: float
    large: float
    by_model: dict[str, float]
    meta: dict[str, Any]


def load(folder: Path, split: str) -> list[Row]:
    """All rows of a split, in file order."""
    rows: list[Row] = []
    for name in SETS:
        with (folder / f"{name}.{split}.jsonl").open(encoding="utf-8") as lines:
            rows += [_row(name, json.loads(line)) for line in lines if line.strip()]
    return rows


def _row(name: str, item: dict[str, Any]) -> Row:
    meta = item["meta"]
    tools = tuple(
        Tool(tool["name"], tool.get("description") or "", tuple(tool.get("params") or ()))
        for tool in meta.get("tools") or ()
    )
    large = item["p_large"]
    return Row(
        id=item["id"],
        set=name,
        kind=meta["kind"],
        text=item["text"],
        tools=tools,
        small=item["p_small"],
        large=float("nan") if large is None else large,
        by_model={**item["small"], **item["large"]},
        meta=meta,
    )


@dataclass(frozen=True)
class Matrix:
    """Rows as the heads see them: counted shape, and hashed words as (row, slot, weight) triples."""

    shape: Floats
    words: Floats

    def of(self, index: NDArray[np.intp]) -> Matrix:
        return Matrix(self.shape[index], self.words[index])


def matrix(rows: list[tuple[str, tuple[Tool, ...]]]) -> Matrix:
    """Features of (text, tools) pairs."""
    words = np.zeros((len(rows), SIZE), np.float32)
    for number, (text, _) in enumerate(rows):
        slots, weights = hashed(text)
        words[number, slots] = weights
    return Matrix(np.array([shape(clipped(text), tools) for text, tools in rows], np.float32), words)
