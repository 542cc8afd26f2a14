"""Markdown for Signal, which has none: fences go, what they held is shown in one width. Pure."""

from __future__ import annotations

import re

from brainrouter.bridge.chunk import width

_FENCED = re.compile(
    r"^ {0,3}(`{3,16}|~{3,16})[^\n`]*\n(.*?)(?:^ {0,3}\1[`~]*[ \t]*(?:\n|\Z)|\Z)", re.MULTILINE | re.DOTALL
)


def styled(text: str) -> tuple[str, list[str]]:
    """The text without fence lines, and its fixed-width ranges as signal-cli takes them (`start:length:MONOSPACE`)."""
    out: list[str] = []
    ranges: list[str] = []
    at = units = 0
    for block in _FENCED.finditer(text):
        before, inside = text[at : block.start()], block[2]
        units += width(before)
        out += [before, inside]
        if inside.strip():
            ranges.append(f"{units}:{width(inside)}:MONOSPACE")
        units += width(inside)
        at = block.end()
    out.append(text[at:])
    return "".join(out), ranges
