"""A long answer in parts that a chat takes: fences are closed and opened again, graphemes and words stay whole."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

_FENCE = re.compile(r"^ {0,3}(`{3,16}|~{3,16})[ \t]*([^`\n]{0,60})$", re.MULTILINE)
_SENTENCE = re.compile(r"[.!?:;]['\")\]]*\s+")
# How much of the room a part must fill before a better place to break is preferred to a later one.
_FILL = 0.4


@dataclass(frozen=True, slots=True)
class Part:
    """`body` is a piece of the text, untouched; `opened` and `closed` are the fence lines we put around it."""

    opened: str
    body: str
    closed: str

    @property
    def text(self) -> str:
        """What is sent."""
        return self.opened + self.body + self.closed


@dataclass(frozen=True, slots=True)
class _Block:
    """A fenced block: from its opening line to behind its closing line, or to the end of the text."""

    start: int
    inside: int
    last: int
    end: int
    marker: str
    info: str


def chunk(text: str, limit: int) -> list[Part]:
    """Parts of at most `limit` UTF-16 units each. Their bodies, joined, are the text; fences are balanced in each."""
    blocks = list(_blocks(text))
    room = limit - _reserve(blocks)
    if room < 4:
        msg = f"no room for text and fences in {limit} characters"
        raise ValueError(msg)
    widths = _widths(text)
    parts: list[Part] = []
    at = 0
    while at < len(text):
        block = _around(blocks, at)
        opened = f"{block.marker}{block.info}\n" if block else ""
        end = _reach(text, widths, at, room)
        cut = end if end == len(text) else _cut(text, blocks, at, end)
        parts.append(Part(opened, text[at:cut], _closing(blocks, text, at, cut)))
        at = cut
    return parts


def width(text: str) -> int:
    """The length of `text` in UTF-16 units, as both platforms count at most."""
    return len(text) + sum(1 for char in text if char > "\uffff")


def _blocks(text: str) -> Iterator[_Block]:
    opening: re.Match[str] | None = None
    for line in _FENCE.finditer(text):
        if opening is None:
            opening = line
        elif line[1][0] == opening[1][0] and len(line[1]) >= len(opening[1]) and not line[2].strip():
            yield _block(opening, line.start(), min(line.end() + 1, len(text)), len(text))
            opening = None
    if opening is not None:
        yield _block(opening, len(text) + 1, len(text) + 1, len(text))


def _block(opening: re.Match[str], last: int, end: int, whole: int) -> _Block:
    return _Block(opening.start(), min(opening.end() + 1, whole), last, end, opening[1], opening[2].strip())


def _reserve(blocks: list[_Block]) -> int:
    """The room for an opening line with its language, and for a closing one."""
    return max((2 * len(block.marker) + width(block.info) + 2 for block in blocks), default=0)


def _around(blocks: list[_Block], at: int) -> _Block | None:
    """The block whose content goes on at `at`: a part that begins there has to open it again."""
    return next((block for block in blocks if block.start < at <= block.last and at < block.end), None)


def _closing(blocks: list[_Block], text: str, at: int, cut: int) -> str:
    block = next((block for block in blocks if block.start < cut <= block.last), None)
    if block is None:
        return ""
    return ("" if text[cut - 1] == "\n" else "\n") + block.marker


def _widths(text: str) -> list[int] | None:
    if not text or max(text) <= "\uffff":
        return None
    return list(accumulate((2 if char > "\uffff" else 1 for char in text), initial=0))


def _reach(text: str, widths: list[int] | None, at: int, room: int) -> int:
    if widths is None:
        return min(at + room, len(text))
    return bisect_right(widths, widths[at] + room) - 1


def _cut(text: str, blocks: list[_Block], at: int, end: int) -> int:
    """The best place to break in (at, end]: a block's edge, a blank line, a line, a sentence, a space, a grapheme."""
    least = at + int((end - at) * _FILL)
    edges = [place for block in blocks for place in (block.start, block.end) if at < place <= end]
    for places in (
        edges,
        _after(text, "\n\n", at, end),
        _after(text, "\n", at, end),
        [match.end() for match in _SENTENCE.finditer(text, at, end)],
        _after(text, " ", at, end),
    ):
        good = [place for place in places if place > least and _may_break(text, blocks, place)]
        if good:
            return good[-1]
    for place in range(end, at, -1):
        if _may_break(text, blocks, place):
            return place
    return end


def _after(text: str, mark: str, at: int, end: int) -> list[int]:
    places: list[int] = []
    found = text.find(mark, at, end)
    while found >= 0:
        places.append(found + len(mark))
        found = text.find(mark, found + 1, end)
    return places


def _may_break(text: str, blocks: list[_Block], place: int) -> bool:
    for block in blocks:
        # Inside a fence line, or between it and what it fences, a break would leave an empty block or break the line.
        if block.start < place <= block.inside or block.last <= place < block.end:
            return False
    if text[place - 1] != "\n" and text[place : place + 8].lstrip(" ").startswith(("`", "~")):
        return False  # at the start of a part, it would read as a fence
    return not _same_grapheme(text, place)


def _same_grapheme(text: str, place: int) -> bool:
    """Whether the characters before and at `place` are shown as one (a little more is kept together than must be)."""
    before, here = text[place - 1], text[place]
    if before.isascii() and here.isascii():
        return before == "\r" and here == "\n"
    if before == "\u200d" or here == "\u200d" or unicodedata.category(here) in ("Mn", "Mc", "Me"):
        return True
    if "\U0001f3fb" <= here <= "\U0001f3ff" or "\U000e0020" <= here <= "\U000e007f":
        return True  # a skin tone, a flag's tag
    if _is_regional(before) and _is_regional(here):
        run = place
        while run > 0 and _is_regional(text[run - 1]):
            run -= 1
        return (place - run) % 2 == 1
    return _is_jamo(before) and _is_jamo(here)


def _is_regional(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _is_jamo(char: str) -> bool:
    return "\u1100" <= char <= "\u11ff" or "\uac00" <= char <= "\ud7ff"
