"""A harness' own prose taken out of a text, line by line. What is not known to be the harness' own stays. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from brainrouter.policy.lean.fingerprint import STRONG, fingerprint, normal, tells
from brainrouter.policy.lean.known import KNOWN
from brainrouter.policy.lean.memo import Memo
from brainrouter.policy.lean.zones import zones

# What a line is: the user's or the project's; nothing; surely the harness' own; a short one that the harness writes
# too; a tag that it writes.
KEPT, BLANK, OWN, MAYBE, TAG = range(5)

_HEADING = re.compile(r"(?:#{1,6}|§) ")
_TITLE_MAX = 100  # a longer heading is prose
_TAG = re.compile(r"<(/?)([A-Za-z][\w-]*)(?: [^<>]*)?>$")


@dataclass(frozen=True, slots=True)
class Pruned:
    """What is left of a text, and how many characters of it were the harness' own."""

    text: str
    own: int


_MEMO: Memo[Pruned] = Memo(entries=128, largest=64 * 1024)


def prune(text: str, known: frozenset[bytes] = KNOWN) -> Pruned:
    """`text` without the lines that a harness is `known` to write, except in the parts that are the user's.

    A heading, an introduction or a tag stays where something directly below it stays. A text with nothing known in
    it comes back as it is.
    """
    return _MEMO.get((text, known), len(text), lambda: _prune(text, known))


def _prune(text: str, known: frozenset[bytes]) -> Pruned:
    lines = text.split("\n")
    marks = _marks(lines, text, known)
    if OWN not in marks:
        return Pruned(text, 0)
    _settle(marks)
    own = sum(len(line) + 1 for line, mark in zip(lines, marks, strict=True) if mark == OWN)
    stays = [mark in (KEPT, BLANK) for mark in marks]
    _keep_introductions(lines, marks, stays)
    _keep_tags(lines, marks, stays)
    return Pruned("\n".join(_left(lines, stays)).strip("\n"), own)


def _marks(lines: list[str], text: str, known: frozenset[bytes]) -> list[int]:
    spans = zones(text)
    starts = [start for start, _ in spans]
    marks: list[int] = []
    at = 0
    for line in lines:
        index = bisect_right(starts, at + len(line)) - 1
        inside = index >= 0 and spans[index][1] > at
        marks.append(KEPT if inside and line.strip() else _mark(line, known))
        at += len(line) + 1
    return marks


def _mark(line: str, known: frozenset[bytes]) -> int:
    said = normal(line)
    if not said:
        return BLANK
    if not tells(said):
        return MAYBE
    if fingerprint(said) not in known:
        return KEPT
    if _TAG.match(said):
        return TAG
    return OWN if len(said) >= STRONG else MAYBE


def _settle(marks: list[int]) -> None:
    """Settle short lines: the harness' own only between lines that surely are, or at the text's ends beside one."""
    before = OWN
    waiting: list[int] = []
    for index, mark in enumerate([*marks, OWN]):
        if mark == MAYBE:
            waiting.append(index)
        elif mark in (KEPT, OWN):
            for at in waiting:
                marks[at] = OWN if before == OWN and mark == OWN else KEPT
            waiting.clear()
            before = mark


def _keep_introductions(lines: list[str], marks: list[int], stays: list[bool]) -> None:
    """A heading, or a line that ends with a colon, stays where something of the paragraph below it does.

    What a tag right below it names already needs no introduction.
    """
    here = below = False  # does anything stay in this paragraph, in the one below it?
    read = 0  # lines of this paragraph that were read
    for index in range(len(lines) - 1, -1, -1):
        line = lines[index].strip()
        if not line:
            if read:
                below, here, read = here, False, 0
            continue
        if marks[index] == OWN and _introduces(line):
            named = read and _TAG.match(lines[index + 1].strip())
            stays[index] = not named and (here if read else below)
        here = here or stays[index]
        read += 1


def _introduces(line: str) -> bool:
    return line.endswith(":") or (_HEADING.match(line) is not None and len(line) <= _TITLE_MAX)


def _keep_tags(lines: list[str], marks: list[int], stays: list[bool]) -> None:
    """The harness' tags stay in pairs, around something that stays."""
    opened: list[tuple[str, int, int]] = []  # name, line, how many lines had stayed before
    count = 0
    for index, line in enumerate(lines):
        if marks[index] == TAG:
            tag = _TAG.match(line.strip())
            closes, name = (tag.group(1), tag.group(2)) if tag else ("", "")
            if not closes:
                opened.append((name, index, count))
            elif opened and opened[-1][0] == name:
                _, start, before = opened.pop()
                stays[start] = stays[index] = count > before
        elif stays[index] and line.strip():
            count += 1


def _left(lines: list[str], stays: list[bool]) -> list[str]:
    """The lines that stay; of the blank ones on both sides of a gap, one."""
    left: list[str] = []
    gap = False
    for line, stay in zip(lines, stays, strict=True):
        blank = not line.strip()
        if not stay:
            gap = True
        elif not (gap and blank and left and not left[-1].strip()):
            left.append(line)
            gap = gap and blank
    return left
