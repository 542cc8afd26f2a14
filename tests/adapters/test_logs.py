"""How much is logged, and what never is."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from collections.abc import Iterator

import pytest

from brainrouter.adapters.log_sink import LINES_MAX, LogSink
from brainrouter.adapters.logs import level_of, log_events, start_logging
from brainrouter.wire.event import RoutingEvent


@pytest.mark.parametrize(
    ("env", "flag", "level"),
    [
        ({}, None, 20),
        ({}, "warn", 30),
        ({}, "ERROR", 40),
        ({}, "nonsense", 20),
        ({"BRAINROUTER_LOG": "debug"}, "error", 10),
        ({"RUST_LOG": "error"}, "debug", 40),
        ({"BRAINROUTER_LOG": "warn", "RUST_LOG": "error"}, None, 30),
        ({"BRAINROUTER_LOG": "", "RUST_LOG": "error"}, None, 40),
        ({"RUST_LOG": "info,brainrouter=debug"}, None, 10),
        ({"RUST_LOG": "brainrouter=debug,info"}, None, 10),
        ({"RUST_LOG": "warn,debug"}, None, 30),
        ({"RUST_LOG": "hyper=trace, warn"}, None, 30),
        ({"RUST_LOG": "hyper=trace"}, None, 20),
        ({"RUST_LOG": "off"}, None, 100),
    ],
)
def test_the_level_is_the_environments_then_the_flags(
    env: dict[str, str], flag: str | None, level: int
) -> None:
    assert level_of(env, flag) == level


@contextlib.contextmanager
def logging_to_stderr() -> Iterator[LogSink]:
    root, own = logging.getLogger(), logging.getLogger("brainrouter")
    before = root.handlers[:], root.level, own.level, logging.raiseExceptions
    try:
        sink = start_logging(logging.INFO)
        yield sink
        sink.finish()
    finally:
        root.handlers[:], logging.raiseExceptions = before[0], before[3]
        root.setLevel(before[1])
        own.setLevel(before[2])


def test_keys_are_masked_at_the_sink_even_in_a_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    own = logging.getLogger("brainrouter")
    with logging_to_stderr():
        own.info("with Bearer abcdefghijkl in it")
        try:
            raise ValueError("sk-abcdefgh12345678")
        except ValueError:
            own.exception("failed")
    said = capfd.readouterr().err
    assert "Bearer ***" in said
    assert "sk-***" in said
    assert "abcdefgh" not in said


@pytest.mark.parametrize(
    "words", ["plain", "line\nend", "bell\a", "del\x7f", "ümlaut", "turned \u202e round", "\x1b[2J"]
)
def test_a_request_is_one_line_with_nothing_in_it_that_moves_the_terminal(
    words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    events = [
        RoutingEvent(
            id=number, time=0.0, dialect="chat", requested_model="auto", stream=False, prompt_excerpt=words
        )
        for number in (1, 2)
    ]
    with logging_to_stderr():
        log_events(events)
        log_events([])
    lines = capfd.readouterr().err.splitlines()
    assert all(line.isprintable() for line in lines)
    heads, objects = zip(*(line.split(" brainrouter.request ") for line in lines), strict=True)
    assert all(re.fullmatch(r"[0-9-]{10} [0-9:]{8} INFO   ", head) for head in heads)
    assert [object_.partition(",")[0] for object_ in objects] == ['{"id":1', '{"id":2']
    if words in ("plain", "line\nend", "bell\a", "ümlaut", "\x1b[2J"):  # the others are shown by their number
        assert json.loads(objects[0])["prompt_excerpt"] == words


def test_a_log_that_nobody_reads_holds_nobody_up_and_says_later_what_is_missing() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="ascii") as reader:
        sink = LogSink(writing)
        for _ in range(LINES_MAX + 2000):  # a pipe holds 64 KB
            sink.write("x" * 99 + "\n")
        sink.finish(0.01)
        said = ""
        while "missing" not in said:
            sink.write("again\n")
            said = reader.readline()
        assert "entries are missing here" in said
        while reader.readline() != "again\n":
            pass
        sink.write("the last\n")
        while reader.readline() != "the last\n":
            pass
        sink.finish()
    os.close(writing)
