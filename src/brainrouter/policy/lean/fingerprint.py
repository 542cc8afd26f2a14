"""A line of a harness' own prose, told by its hash: the prose itself is its maker's and is nowhere in this repository.

`known.py` holds the hashes of the lines that the real harnesses sent, written by `python -m bench.lean learn`.
"""

from __future__ import annotations

import re
from hashlib import blake2b

SIZE = 5
STRONG = 24  # characters from which a line is nobody's but the harness' own

_QUOTED = re.compile(r"`[^`\n]*/[^`\n]*`")
_PATH = re.compile(r"(?<![\w:/<])~?/[\w.@~+-]+(?:/[\w.@~+-]*)*")
_MODEL = re.compile(r"\b(model named|model id is|model:) [\w./:-]+(?: \([\w./:-]+\))?", re.IGNORECASE)
_DIGITS = re.compile(r"\d+")
_LETTER = re.compile(r"[^\W\d_]")


def normal(line: str) -> str:
    """The line without what differs from user to user and day to day: paths, numbers, the model's name, indentation."""
    line = _MODEL.sub(r"\1 /", " ".join(line.split()))
    if "/" in line:
        line = _PATH.sub("/", _QUOTED.sub("`/`", line))
    return _DIGITS.sub("0", line)


def fingerprint(normal_line: str) -> bytes:
    """What a normal line is known by."""
    return blake2b(normal_line.encode("utf-8", "replace"), digest_size=SIZE).digest()


def tells(normal_line: str) -> bool:
    """Whether a line says enough to be known again: it has a word in it."""
    return len(normal_line) > 2 and _LETTER.search(normal_line) is not None
