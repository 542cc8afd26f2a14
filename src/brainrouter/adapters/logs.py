"""Logging: one line a record on stderr, with secrets masked at the sink."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

import msgspec

from brainrouter.adapters.log_sink import LogSink
from brainrouter.wire.event import RoutingEvent
from brainrouter.wire.plain_text import plain
from brainrouter.wire.prompt_text import masked

LEVELS = {"trace": 10, "debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40, "off": 100}

_log = logging.getLogger("brainrouter")
_encoder = msgspec.json.Encoder()
_DEL = 0x7F


class _Line(logging.Formatter):
    """`time level logger message`; event records become one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        return plain(masked(super().format(record)))


class _ToSink(logging.Handler):
    """Formats where it is logged, writes where nobody waits."""

    def __init__(self, sink: LogSink) -> None:
        super().__init__()
        self.sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        self.sink.write(f"{self.format(record)}\n")


def level_of(env: Mapping[str, str], flag: str | None) -> int:
    """The level: BRAINROUTER_LOG or RUST_LOG win over the flag; `info` when nothing usable is said.

    RUST_LOG may hold directives (`info,brainrouter=debug`); the first plain level, or the one for brainrouter, counts.
    """
    said = env.get("BRAINROUTER_LOG") or env.get("RUST_LOG") or flag or "info"
    levels: dict[str, int] = {}
    for directive in said.lower().split(","):
        target, _, name = directive.rpartition("=")
        if name.strip() in LEVELS:
            levels.setdefault(target.strip(), LEVELS[name.strip()])
    return levels.get("brainrouter", levels.get("", LEVELS["info"]))


def start_logging(level: int) -> LogSink:
    """Send records to stderr. A closed or full stderr never raises into the daemon, nor holds it up.

    Whoever ends the process calls `finish` of what this gives, so that the last lines are written.
    """
    logging.raiseExceptions = False
    sink = LogSink()
    handler = _ToSink(sink)
    handler.setFormatter(_Line("%(asctime)s %(levelname)-7s %(name)s %(message)s"))
    logging.getLogger().handlers[:] = [handler]
    set_level(level)
    return sink


def set_level(level: int) -> None:
    """What is too small to be told from now on; of other people's libraries, no debugging."""
    logging.getLogger().setLevel(max(level, logging.INFO))
    _log.setLevel(level)


def log_events(events: list[RoutingEvent]) -> None:
    """One structured line for each finished request. Their texts were masked when they were recorded."""
    if not events or not _log.isEnabledFor(logging.INFO):
        return
    before = time.strftime("%Y-%m-%d %H:%M:%S INFO    brainrouter.request ").encode()
    objects = _encoder.encode_lines(events)[:-1]  # no line's end within one, nor any other byte below a space
    lines = b"%b%b\n" % (before, objects.replace(b"\n", b"\n" + before))
    safe = lines.isascii() and _DEL not in lines
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _ToSink):
            handler.sink.write(lines if safe else plain(lines.decode()))
