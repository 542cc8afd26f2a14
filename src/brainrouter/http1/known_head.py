"""A request head that was read before: programs say the same one again and again, but for the length of the body."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from brainrouter.http1.message import Headers

_LENGTH = b"\r\ncontent-length:"
_DIGITS_MAX = 19
ZERO = 0x30
KEPT = 8  # the harnesses that one person has open, and what some of them ask in between


@dataclass(slots=True)
class KnownHead:
    """The bytes of a good HTTP/1.1 head around the digits of its Content-Length, and what they mean.

    Measured: knowing a head again costs a tenth of parsing it.
    """

    before: bytes
    after: bytes
    method: str
    target: bytes
    path: str
    query: str
    headers: Headers

    def begins(self, data: bytes) -> Begun | None:
        """This head, where the body begins and its announced size, when `data` begins with this very head."""
        before = self.before
        if not data.startswith(before):
            return None
        at = len(before)
        after = self.after
        end = data.find(after, at + 1, at + _DIGITS_MAX + len(after))
        digits = data[at:end]
        if end < 0 or not digits.isdigit() or digits[0] == ZERO:
            return None
        return self, end + len(after), int(digits)


Begun = tuple[KnownHead, int, int]


class KnownHeads:
    """The last heads that came to one address, on whichever connection: a program's next one says the same again."""

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        self._heads: deque[KnownHead] = deque(maxlen=KEPT)

    def add(self, head: KnownHead) -> None:
        """Know a head from now on."""
        if all(known.before != head.before or known.after != head.after for known in self._heads):
            self._heads.appendleft(head)

    def begins(self, data: bytes) -> Begun | None:
        """What the head that `data` begins with says of it, if it is known."""
        for head in self._heads:
            found = head.begins(data)
            if found is not None:
                return found
        return None


def around_length(block: bytes) -> tuple[bytes, bytes] | None:
    """The head that `block` begins with, cut in two around the digits of its Content-Length.

    None where the block begins with anything else, or the head has another way to say how long its body is.
    """
    end = block.find(b"\r\n\r\n") + 4
    head = block[:end]
    low = head.lower()
    if end < 4 or not head[:1].isalpha() or low.count(_LENGTH) != 1:
        return None
    at = low.index(_LENGTH) + len(_LENGTH)
    while head[at : at + 1] in (b" ", b"\t"):
        at += 1
    stop = at
    while head[stop : stop + 1].isdigit():
        stop += 1
    return (head[:at], head[stop:]) if stop > at else None
