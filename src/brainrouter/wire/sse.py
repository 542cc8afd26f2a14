"""Server-sent events as WHATWG defines them: bytes in any pieces to whole events, and back."""

from __future__ import annotations

import re
from typing import NamedTuple

LINE_MAX_BYTES = 1 << 20
EVENT_MAX_BYTES = 4 << 20

# As numbers: for a bytes that is looked for in another, Python first makes an exception, and throws it away.
LF, CR = 0x0A, 0x0D
_BOM = b"\xef\xbb\xbf"
_EOL = rb"(?:\r\n|\n|\r(?!\n))"
_BLANK_LINE = re.compile(_EOL + _EOL)
_ANY_EOL = re.compile(rb"\r\n|\n|\r")


class SseOverflow(Exception):
    """A line or an event longer than its limit. `events` holds what was whole before it."""

    def __init__(self, message: str, events: list[bytes]) -> None:
        super().__init__(message)
        self.events = events


class Event(NamedTuple):
    """One event. `name` is empty when none was given; `data` is None when the event carries none."""

    name: str
    data: bytes | None
    comment: bytes | None = None


class EventSplitter:
    """Cuts a byte stream into raw events, each with the blank line that ends it, whatever the pieces.

    A blank line with nothing before it is a raw event of its own, so that nothing but a leading byte order
    mark is lost: joined, the events and the tail are the stream.
    """

    def __init__(self) -> None:
        self._tail = bytearray()
        self._searched = 0
        self._fresh = True
        self.waiting = (
            True  # for the start of the stream, or the rest of an event; False: an event begins here
        )

    @property
    def tail(self) -> bytes:
        """The bytes after the last whole event."""
        return bytes(self._tail)

    def feed(self, data: bytes) -> list[bytes]:
        """The events that `data` completes. Raises SseOverflow, after which the splitter is done."""
        events = self._whole(data)
        self.waiting = self._fresh or bool(self._tail)
        return events

    def end(self) -> bytes:
        """What is left at the end of the stream: an event cut short, or nothing."""
        rest = bytes(self._tail)
        self._tail.clear()
        return rest

    def _whole(self, data: bytes) -> list[bytes]:
        if self._fresh and data and data[0] != _BOM[0] and not self._tail:
            self._fresh = False
        if not self._tail and not self._fresh and data.endswith(b"\n\n") and len(data) <= LINE_MAX_BYTES:
            events = _cut_plainly(data)
            if events:
                return events
        self._tail += data
        if self._fresh and not self._open():
            return []
        return self._cut()

    def _open(self) -> bool:
        """Drop the byte order mark a stream may start with. False while it may still be one."""
        if self._tail.startswith(_BOM):
            del self._tail[:3]
        elif _BOM.startswith(self._tail):
            return False
        self._fresh = False
        return True

    def _cut(self) -> list[bytes]:
        events: list[bytes] = []
        buffer, start = self._tail, 0
        while start < len(buffer):
            end = _event_end(buffer, start, max(start, self._searched))
            if end is None:
                break
            event = bytes(buffer[start:end])
            _check(event, events)
            events.append(event)
            start = self._searched = end
        del buffer[:start]
        self._searched = max(0, len(buffer) - 3)
        _check_tail(buffer, events)
        return events


def _cut_plainly(data: bytes) -> list[bytes]:
    """Whole events with line feeds only and one blank line between; nothing when `data` is anything else."""
    if CR in data or data.find(b"\n\n\n") >= 0 or data[0] == LF:
        return []
    return [event + b"\n\n" for event in data[:-2].split(b"\n\n")]


def _event_end(buffer: bytearray, start: int, search_from: int) -> int | None:
    """Where the event that starts at `start` ends; None when the buffer does not tell.

    A carriage return as the last byte does not tell: a line feed may follow and belong to it.
    """
    blank = buffer[start] in b"\r\n"
    found = _ANY_EOL.match(buffer, start) if blank else _BLANK_LINE.search(buffer, search_from)
    if found is None or (found.end() == len(buffer) and buffer.endswith(b"\r")):
        return None
    return found.end()


def _check(event: bytes, before: list[bytes]) -> None:
    if len(event) <= LINE_MAX_BYTES:
        return
    if len(event) > EVENT_MAX_BYTES:
        raise SseOverflow(f"an event is longer than {EVENT_MAX_BYTES} bytes", before)
    if max(len(line) for line in _ANY_EOL.split(event)) > LINE_MAX_BYTES:
        raise SseOverflow(f"a line is longer than {LINE_MAX_BYTES} bytes", before)


def _check_tail(tail: bytearray, before: list[bytes]) -> None:
    if len(tail) <= LINE_MAX_BYTES:
        return
    if len(tail) > EVENT_MAX_BYTES:
        raise SseOverflow(f"an event is longer than {EVENT_MAX_BYTES} bytes", before)
    if len(tail) - 1 - max(tail.rfind(b"\n"), tail.rfind(b"\r")) > LINE_MAX_BYTES:
        raise SseOverflow(f"a line is longer than {LINE_MAX_BYTES} bytes", before)


def plain_data(raw: bytes) -> bytes | None:
    """The data of a raw event in one of the two usual forms; None when `parse_event` must tell."""
    if raw[:6] == b"data: ":
        data = raw[6:-2]
        return data if raw[-2:] == b"\n\n" and LF not in data and CR not in data else None
    if raw[-2:] != b"\n\n" or CR in raw:
        return None
    if raw[:7] == b"event: ":
        _, mark, data = raw[:-2].partition(b"\ndata: ")
        return data if mark and raw.count(b"\n") == 3 else None
    return None


def parse_event(raw: bytes) -> Event:
    """The fields of one raw event. Unknown fields, `id` and `retry` are ignored."""
    name = ""
    data: list[bytes] = []
    comments: list[bytes] = []
    for line in _ANY_EOL.split(raw):
        field, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
        elif not field and line:
            comments.append(value)
    return Event(name, b"\n".join(data) if data else None, b"\n".join(comments) if comments else None)


def frame(data: bytes, event: str | None = None) -> bytes:
    """One event as bytes. Data of several lines becomes several `data:` lines."""
    head = b"event: " + event.encode() + b"\n" if event else b""
    if LF not in data and CR not in data:
        return head + b"data: " + data + b"\n\n"
    return head + b"".join(b"data: " + line + b"\n" for line in _ANY_EOL.split(data)) + b"\n"
