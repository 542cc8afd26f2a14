"""An answer's head that was read before: an upstream says the same one again, but for a few values of its own."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

# What differs from answer to answer and says nothing to a proxy; but for the length, which is read.
OWN = ("content-length", "date", "etag")
_OWN_VALUE = re.compile(rb"\r\n(%b):[ \t]*([^\r\n]*)" % "|".join(OWN).encode(), re.IGNORECASE)
_VALUE_MAX = 128
_DIGITS_MAX = 18
_SIZE_MAX = 8 * 1024
_PRINTABLE = bytes(range(0x20, 0x7F))
KEPT = 8
PATIENCE = 64  # heads in a row that were not known: with this upstream none ever will be

Begun = tuple["KnownAnswer", int, int]


@dataclass(slots=True)
class KnownAnswer:
    """The bytes of a good HTTP/1.1 head between those values, and what they mean.

    Its body has a length, or is chunked; its connection may be kept. `rest` says of each piece whether a length comes
    before it.
    """

    first: bytes
    rest: tuple[tuple[bytes, bool], ...]
    status: int
    headers: dict[str, str]

    def begins(self, data: bytes) -> Begun | None:
        """This head, where the body begins and its announced size (-1: chunked), when `data` begins with this head."""
        if not data.startswith(self.first):
            return None
        at = len(self.first)
        size = -1
        for piece, counted in self.rest:
            end = data.find(b"\r\n", at, at + _VALUE_MAX)
            if end < 0 or not data.startswith(piece, end):
                return None
            value = data[at:end]
            if counted:
                if not value.isdigit() or len(value) > _DIGITS_MAX:
                    return None
                size = int(value)
            elif value.translate(None, _PRINTABLE):
                return None
            at = end + len(piece)
        return self, at, size


class KnownAnswers:
    """The last heads of one upstream's answers, on whichever connection."""

    __slots__ = ("_answers", "_missed")

    def __init__(self) -> None:
        self._answers: deque[KnownAnswer] = deque(maxlen=KEPT)
        self._missed = 0

    def begins(self, data: bytes) -> Begun | None:
        """What the head that `data` begins with says of it, if it is known."""
        if self._missed < PATIENCE:
            for answer in self._answers:
                found = answer.begins(data)
                if found is not None:
                    self._missed = 0
                    return found
        return None

    def add(self, data: bytes, status: int, headers: dict[str, str]) -> None:
        """Know the head that `data` begins with from now on, where it is a plain one.

        It is a good one, it may have a body, and its connection may be kept. `headers` are without `OWN`, and stay as
        they are.
        """
        if self._missed < PATIENCE:
            self._missed += 1
            answer = _plain(data[: data.find(b"\r\n\r\n") + 4], status, headers)
            if answer is not None:
                self._answers.appendleft(answer)


def _plain(head: bytes, status: int, headers: dict[str, str]) -> KnownAnswer | None:
    """Cut a head around the values of its own; None where another one is before it, or its body is neither kind."""
    pieces: list[tuple[bytes, bool]] = []
    at = lengths = 0
    counted = False
    for value in _OWN_VALUE.finditer(head):
        pieces.append((head[at : value.start(2)], counted))
        at = value.end(2)
        counted = value[1].lower() == b"content-length"
        lengths += counted
    pieces.append((head[at:], counted))
    framed_once = lengths + ("transfer-encoding" in headers) == 1
    if not (framed_once and len(head) <= _SIZE_MAX and head.startswith(b"HTTP/1.1 %d" % status)):
        return None
    return KnownAnswer(pieces[0][0], tuple(pieces[1:]), status, headers)
