"""Bytes from a program to whole lines, with a limit to what is held. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

LINE_BYTES = 8 << 20


@dataclass(slots=True)
class Lines:
    """Bytes to lines. A line that is longer than `limit` is dropped, and no more than that is ever held."""

    limit: int = LINE_BYTES
    _held: bytearray = field(default_factory=bytearray)
    _skipping: bool = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes."""
        first, *rest = data.split(b"\n")
        if not rest:
            self._hold(first)
            return []
        self._hold(first)
        lines = [] if self._skipping else [bytes(self._held)]
        lines += [line for line in rest[:-1] if len(line) <= self.limit]
        self._held.clear()
        self._skipping = False
        self._hold(rest[-1])
        return lines

    def _hold(self, data: bytes) -> None:
        if self._skipping or len(self._held) + len(data) > self.limit:
            self._skipping = True
            self._held.clear()
        else:
            self._held += data
