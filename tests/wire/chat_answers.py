"""Chat answers in every order a server may stream them, and what a client must have understood of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.wire.streams import DONE, chunk

USAGE = {
    "prompt_tokens": 90,
    "completion_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 70},
    "completion_tokens_details": {"reasoning_tokens": 5},
}

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
names = st.sampled_from(["read_file", "bash", "mcp__brainrouter__request_review"])
arguments = st.dictionaries(
    words, st.one_of(words, st.integers(), st.lists(words, max_size=2)), max_size=3
).map(lambda value: json.dumps(value, ensure_ascii=False))


@dataclass(frozen=True)
class Said:
    """What was said: text and thought joined, calls in the order in which they began."""

    chunks: list[bytes]
    text: str
    thought: str
    calls: list[tuple[str, str, str]]
    finish: str

    def completion(self) -> dict[str, Any]:
        """The same as a whole chat completion."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        if self.thought:
            message["reasoning_content"] = self.thought
        if self.calls:
            message["tool_calls"] = [
                {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}
                for call_id, name, text in self.calls
            ]
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        return {"id": "c", "object": "chat.completion", "model": "qwen", "choices": [choice], "usage": USAGE}


def _pieces(draw: Any, text: str) -> list[str]:
    marks = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[start:end] for start, end in zip([0, *marks], [*marks, len(text)], strict=True)]


def _call_deltas(draw: Any, index: int, call_id: str, name: str, text: str) -> list[dict[str, Any]]:
    pieces = _pieces(draw, text)
    first = draw(st.sampled_from(["", pieces[0]]))
    rest = pieces[1:] if first == pieces[0] else pieces
    opening = {
        "index": index,
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": first},
    }
    return [{"tool_calls": [opening]}] + [
        {"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in rest
    ]


def _woven(draw: Any, rows: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The rows' deltas in any mix that keeps each row's own order."""
    left = [list(row) for row in rows if row]
    out: list[dict[str, Any]] = []
    while left:
        row = left[draw(st.integers(0, len(left) - 1))]
        out.append(row.pop(0))
        left = [row for row in left if row]
    return out


@st.composite
def answers(draw: Any, *, in_order: bool = False) -> Said:
    """An answer: calls with gaps in their numbers, arguments cut anywhere, all of it mixed unless `in_order`."""
    thoughts = draw(st.lists(words, max_size=3))
    texts = draw(st.lists(words, max_size=3))
    gaps = draw(st.lists(st.integers(1, 3), max_size=3))
    calls = [(sum(gaps[: at + 1]), f"call_{at}", draw(names), draw(arguments)) for at in range(len(gaps))]
    rows = [
        [{"reasoning_content": piece} for piece in thoughts],
        [{"content": piece} for piece in texts],
        *[_call_deltas(draw, *call) for call in calls],
    ]
    deltas = [delta for row in rows for delta in row] if in_order else _woven(draw, rows)
    began = [
        delta["tool_calls"][0]["id"]
        for delta in deltas
        if "tool_calls" in delta and "id" in delta["tool_calls"][0]
    ]
    by_id = {call_id: (call_id, name, text) for _, call_id, name, text in calls}
    finish = draw(st.sampled_from(["stop", "tool_calls" if calls else "length"]))
    chunks = [chunk({"role": "assistant", "content": ""}), *map(chunk, deltas), chunk({}, finish)]
    chunks += [chunk(choices=[], usage=USAGE), DONE]
    return Said(chunks, "".join(texts), "".join(thoughts), [by_id[name] for name in began], finish)


def blank_free(text: str) -> str:
    """Text without white space: a block of nothing else is left out on purpose."""
    return "".join(text.split())
