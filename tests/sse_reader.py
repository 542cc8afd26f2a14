"""A dashboard's ear: reads /api/events on a raw connection and gives each event by name."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.daemon import Daemon

Named = tuple[str, Any]


class Listener:
    """One open stream."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        connection.request("GET", "/api/events")
        self._connection = connection
        self.reply = connection.getresponse()

    def next(self) -> Named:
        """The next event; ("", comment) for a comment, ("end", None) once the daemon has ended the stream."""
        name, data = "", ""
        while line := self.reply.readline().decode():
            text = line.rstrip("\n")
            if not text:
                return name, json.loads(data) if data else None
            field, _, value = text.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                data += value
        return "end", None

    def until(self, wanted: Callable[[str, Any], bool], within_s: float = 30.0) -> Any:
        """The data of the first event that is wanted."""
        ends = time.monotonic() + within_s
        while time.monotonic() < ends:
            name, data = self.next()
            if wanted(name, data):
                return data
            assert name != "end", "the stream has ended"
        raise AssertionError(f"not within {within_s} s")


@contextlib.contextmanager
def listening(daemon: Daemon) -> Iterator[Listener]:
    """An open stream of events, closed at the end."""
    with contextlib.closing(daemon.connect()) as connection:
        yield Listener(connection)
