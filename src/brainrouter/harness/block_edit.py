"""A marked block of lines in a text that is not ours: instructions for agents, a shell's start file."""

from __future__ import annotations

import re
from dataclasses import dataclass

from brainrouter.harness.edit import CannotEdit


@dataclass(frozen=True, slots=True)
class Block:
    """Lines between two marks."""

    begin: str
    end: str
    body: str

    @property
    def text(self) -> str:
        return f"{self.begin}\n{self.body.strip()}\n{self.end}\n"


def with_block(text: str, block: Block) -> str:
    """The text with the block in it, once: in its old place, else at the end after a blank line."""
    start, end = _span(text, block)
    if start >= 0:
        return text[:start] + block.text + text[end:]
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    return text + gap + block.text


def without_block(text: str, block: Block) -> str:
    """The text without the block and the blank line before it."""
    start, end = _span(text, block)
    if start < 0:
        return text
    head = text[:start]
    return (head[:-1] if head.endswith("\n\n") else head) + text[end:]


def _span(text: str, block: Block) -> tuple[int, int]:
    begins = [
        found.start() for found in re.finditer(rf"^{re.escape(block.begin)}[ \t]*$", text, re.MULTILINE)
    ]
    ends = [
        found.end() for found in re.finditer(rf"^{re.escape(block.end)}[ \t]*(?:\n|\Z)", text, re.MULTILINE)
    ]
    if not begins and not ends:
        return -1, -1
    if len(begins) != 1 or len(ends) != 1 or begins[0] > ends[0]:
        raise CannotEdit(
            f"its marks `{block.begin}` and `{block.end}` are not one pair; mend or remove them by hand"
        )
    return begins[0], ends[0]
