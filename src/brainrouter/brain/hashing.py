"""Words and letter runs of a text as a sparse vector, by hashing: no vocabulary to ship. Pure."""

from __future__ import annotations

import re
import zlib

import numpy as np
from numpy.typing import NDArray

BITS = 13
SIZE = 1 << BITS
HEAD, TAIL = 2400, 800
GRAM = 5

_WORD = re.compile(r"[a-z_]+|\d+|[^\sa-z_\d]")
_PRIME = np.uint32(16777619)


def hashed(text: str) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The slots that a text fills and the weight in each: damped counts of words, word pairs and letter runs.

    Words live in the lower half of the slots, letter runs in the upper one. Each half has length one.
    """
    text = clipped(text).lower()
    words = _WORD.findall(text)
    codes = np.fromiter((zlib.crc32(word.encode()) for word in words), np.uint32, len(words))
    pairs = codes[:-1] * _PRIME + codes[1:]
    low = _counted(np.concatenate((codes, pairs)), 0)
    high = _counted(_grams(text), SIZE // 2)
    return np.concatenate((low[0], high[0])), np.concatenate((low[1], high[1]))


def clipped(text: str) -> str:
    """Head and tail of a text that is too long to be read whole in time."""
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]}\n{text[-TAIL:]}"


def _grams(text: str) -> NDArray[np.uint32]:
    letters = np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(np.uint32)
    if len(letters) < GRAM:
        return np.empty(0, np.uint32)
    size = len(letters) - GRAM + 1
    code = np.zeros(size, np.uint32)
    for at in range(GRAM):
        code = (code ^ letters[at : at + size]) * _PRIME
    return code


def _counted(codes: NDArray[np.uint32], base: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    slots = ((codes * np.uint32(2654435761)) >> np.uint32(32 - BITS + 1)).astype(np.intp)
    found, counts = np.unique(slots, return_counts=True)
    weights = (1.0 + np.log(counts)).astype(np.float32)
    length = float(np.sqrt((weights * weights).sum())) or 1.0
    return found + base, weights / np.float32(length)
