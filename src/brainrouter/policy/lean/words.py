"""Words of a tool or of a parameter, made few: whole sentences or clauses, and none that a name says already. Pure."""

from __future__ import annotations

import re

_BLOCKS = re.compile(
    r"<(example|examples|good-example|bad-example)>(?:(?!</?\1>).)*</\1>\s*", re.DOTALL | re.IGNORECASE
)
_BREAK = re.compile(r"(?<=[.!?])\s+|\n\s*\n|\n(?=\s*[-*#<])")
_LABEL = re.compile(r"\A(?:required|optional)[:,.] ", re.IGNORECASE)  # the schema says it
_ASIDE = re.compile(r" (?=\()")
_CLAUSE = re.compile(rf"[,;:](?=\s)| (?=\u2014|- )|{_ASIDE.pattern}")
_OPENER = re.compile(r"\s*\n(?:[^\n]{0,40}:|<[\w-]{1,40}>)$")  # "Usage:", with nothing left below it
_UNCLOSED = re.compile(r"\s*\([^()]*$")
_DANGLING = re.compile(r"(?: (?:a|an|and|any|at|by|for|from|in|its|of|on|or|the|this|to|with))+$")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
# What says nothing of a parameter beyond its name and its tool; that paths are absolute the lean prompt says of all.
_FILLERS = """
    a absolute against an and array be by content contents directory edit exact execute file files find folder for from
    in into is it its match modify must new not occurrences of on or path read relative replace run search shell string
    text that the this to use value whether which with write
"""
_SAYS_NOTHING = frozenset(word.rstrip("s") for word in _FILLERS.split())
_TELLS_LENGTH = 3  # a name shorter than that says nothing
CUT = "…"


def shortened(words: str, limit: int, *, clauses: bool = False) -> str:
    """The first sentences of `words`, whole ones where they fit, else what comes before an aside; examples go first.

    With `clauses` a sentence may also end after any of its own. Words that were cut in the middle end with CUT.
    """
    if len(words) <= limit:
        return words
    words = _LABEL.sub("", _BLOCKS.sub("", words).strip().removeprefix("- "), count=1)
    if len(words) <= limit:
        return words
    end = 0
    for stop in _BREAK.finditer(words[: limit + 200]):
        if stop.start() > limit:
            break
        end = stop.start()
    if end >= limit // 3:
        return _OPENER.sub("", words[:end].rstrip())
    stops = [stop.start() for stop in (_CLAUSE if clauses else _ASIDE).finditer(words[: limit + 2])]
    last = max((stop for stop in stops if stop <= limit), default=0)
    if last >= limit // 2:
        return _UNCLOSED.sub("", words[:last]).rstrip()
    cut = words[: limit - 1]
    return (cut.rpartition(" ")[0] or cut).rstrip() + CUT


def cut_short(words: str) -> str:
    """Words that may have been cut in the middle, without what hangs at their end."""
    return _DANGLING.sub("", words.removesuffix(CUT)) if words.endswith(CUT) else words


def idle(words: str, name: str, beside: str) -> bool:
    """Whether `words` say nothing of a parameter that its own name and those `beside` it do not."""
    if not telling(name):
        return False
    known = _SAYS_NOTHING | _parts(name) | _parts(beside)
    return _parts(words) <= known


def telling(name: str) -> bool:
    """Whether a parameter's name can stand for itself."""
    return len(name) >= _TELLS_LENGTH


def _parts(text: str) -> set[str]:
    return {word.lower().rstrip("s") for word in _WORD.findall(text)}
