"""What changes with every request and means nothing to a model, made to stand still. Pure.

A local server keeps what it has read of a prompt and goes on from the first byte that differs: one counter at the
head of a prompt costs the whole of it at every turn.
"""

from __future__ import annotations

import re

_BILLING = re.compile(r"^x-anthropic-billing-header:[^\n]*\n?", re.MULTILINE)
_COUNTER = re.compile(r"\s*<total_tokens>[^<\n]{0,80}</total_tokens>[ \t]*")
# "Current time: 2026-11-23T02:25:11Z" says the day and no more.
_CLOCK = re.compile(
    r"^([ \t]*(?:[-*] |<)?(?:current |local |today'?s )?(?:date|time|date and time|datetime|timestamp|now|today)"
    r"(?: is)?[ \t]*[:>][ \t]*\d{4}-\d\d-\d\d)[T ]\d\d:\d\d[^\s<]*",
    re.IGNORECASE | re.MULTILINE,
)
# omp lists the tools of its MCP servers once they are up, in the middle of what it said before.
_LATE = re.compile(r"^## Additional devices[^\n]*\n(?:- xd://[^\n]*(?:\n|$))+\n*", re.MULTILINE)


def steady(text: str) -> str:
    """A harness' text without counters, billing lines and times of day; dates stay. What comes late goes last."""
    if "x-anthropic-billing-header:" in text:
        text = _BILLING.sub("", text)
    if "<total_tokens>" in text:
        text = _COUNTER.sub("", text)
    if "- xd://" in text:
        late = "\n".join(found.group().strip() for found in _LATE.finditer(text))
        text = f"{_LATE.sub('', text).rstrip()}\n\n{late}" if late else text
    return _CLOCK.sub(r"\1", text) if ":" in text else text
