"""Slow clients are cut, and not too early; each in its own way."""

from __future__ import annotations

import asyncio

import pytest

from brainrouter.http1.deadline import Deadline
from brainrouter.http1.message import Reply, Request
from brainrouter.http1.server import Limits
from tests.http1.rig import Wire, run, served, until, wire

LIMITS = Limits(head_s=10, body_idle_s=30, keepalive_idle_s=75, write_stall_s=60, body_rate=1000)
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def test_a_dripping_head_does_not_push_its_deadline():
    deadline = Deadline(LIMITS, 0)
    for second in range(100, 110):
        deadline.head(second)
        assert not deadline.passed(second)
    assert deadline.passed(110)


def test_a_new_connection_must_say_something():
    deadline = Deadline(LIMITS, 0)
    assert not deadline.passed(9.9)
    assert deadline.passed(10)


def test_a_resting_connection_has_the_keep_alive_time_from_the_first_look():
    deadline = Deadline(LIMITS, 0)
    deadline.rest()
    assert not deadline.passed(1000)
    assert not deadline.passed(1074)
    assert deadline.passed(1075)


def test_body_bytes_push_the_deadline_only_at_the_least_rate():
    fast, slow = Deadline(LIMITS, 0), Deadline(LIMITS, 0)
    for second in range(0, 100, 10):
        fast.body(second, second * 2000)
        slow.body(second, second)
    assert not fast.passed(100)
    assert slow.passed(31)


def test_a_silent_body_is_cut_after_the_idle_time():
    deadline = Deadline(LIMITS, 0)
    deadline.body(0, 10_000_000)
    assert not deadline.passed(29)
    assert deadline.passed(30)


def test_a_reader_that_takes_a_little_is_not_stalled():
    deadline = Deadline(LIMITS, 0)
    assert not deadline.stalled(0, 1000)
    assert not deadline.stalled(50, 900)
    assert not deadline.stalled(100, 900)
    assert deadline.stalled(110, 900)


async def drip(one: Wire, data: bytes) -> None:
    """A byte now and then until the server has had enough."""
    for at in range(len(data)):
        one.send(data[at : at + 1])
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("limits", "data", "status"),
    [
        (Limits(head_s=0.1), b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 5000, b"408"),
        (Limits(head_s=0.1), GET + b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 5000, b"408"),
        (Limits(body_idle_s=0.1), b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n", b"408"),
        (
            Limits(body_idle_s=0.1),
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n" + b"a" * 5000,
            b"408",
        ),
    ],
    ids=["head", "second head", "silent body", "dripping body"],
)
def test_a_slow_request_is_cut_with_408_while_others_are_served(limits: Limits, data: bytes, status: bytes):
    async def main() -> None:
        async with served(limits=limits) as here, wire(here) as one, asyncio.TaskGroup() as group:
            dripping = group.create_task(drip(one, data))
            said = group.create_task(one.rest())
            async with wire(here) as other:
                other.send(GET)
                assert (await other.reply())[0] == 200
            assert b"HTTP/1.1 %b " % status in await said
            dripping.cancel()

    run(main())


def test_a_connection_that_never_speaks_is_closed_without_a_word():
    async def main() -> None:
        async with served(limits=Limits(head_s=0.05)) as here, wire(here) as one:
            assert await one.rest() == b""

    run(main())


def test_an_idle_connection_is_closed_without_a_word():
    async def main() -> None:
        async with served(limits=Limits(keepalive_idle_s=0.05)) as here, wire(here) as one:
            one.send(GET)
            assert (await one.reply())[0] == 200
            assert await one.rest() == b""

    run(main())


def test_a_slow_handler_is_no_ones_deadline():
    async def slow(request: Request) -> Reply:
        await asyncio.sleep(0.3)
        return Reply(200, b"late")

    async def main() -> None:
        tight = Limits(
            head_s=0.05, body_idle_s=0.05, keepalive_idle_s=0.05, write_stall_s=0.05, linger_s=0.05
        )
        async with served(slow, tight) as here, wire(here) as one:
            one.send(GET)
            assert (await one.reply())[2] == b"late"
            await until(lambda: here.server.connections == 0)

    run(main())
