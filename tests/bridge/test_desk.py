"""Many channels and many messages: what waits has an end, and nothing that was taken in is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from brainrouter.bridge import conversation, desk
from brainrouter.bridge.access import COMMANDS_A_MINUTE
from brainrouter.bridge.desk import Desk
from brainrouter.bridge.grammar import Platform
from brainrouter.bridge.means import Means
from brainrouter.bridge.port import Message
from brainrouter.bridge.state import State


class Platforms:
    """A port that delivers while `open` is set."""

    platform: Platform = "signal"
    limit = 4000

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.sent: list[tuple[str, str]] = []

    async def send(self, channel: str, text: str) -> None:
        await self.open.wait()
        self.sent.append((channel, text))

    async def send_file(self, channel: str, name: str, data: bytes, note: str) -> None:
        raise AssertionError(name)

    async def typing(self, channel: str) -> None: ...

    def literal(self, text: str) -> str:
        return text


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    made = State(tmp_path, "signal")
    assert made.open() == []
    yield made
    made.close()


def at_a_desk(state: State, scene: Callable[[Desk, Platforms], Awaitable[None]]) -> None:
    """Run a scene of commands that need nothing but the platform and the memory."""

    async def run() -> None:
        port, none = Platforms(), cast("Any", None)
        means = Means(port, state, none, none, none, none, "!", "brainrouter/auto", {}, lambda _: "none")
        async with asyncio.TaskGroup() as group:
            try:
                await scene(Desk(means, group), port)
            finally:
                for task in asyncio.all_tasks() - {asyncio.current_task()}:
                    task.cancel()

    asyncio.run(run())


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not met():
            await asyncio.sleep(0.001)


def test_a_channel_takes_in_so_many_messages_and_says_once_that_it_is_full(state: State):
    async def flood(at: Desk, port: Platforms) -> None:
        most = conversation.UNREAD
        for number in range(2 * most):
            at.receive(Message(str(number), "group", f"p{number % (most // 2)}", "!br ping"))
        port.open.set()
        at_most = most + 1
        await until(lambda: len(port.sent) >= at_most)
        at.receive(Message("later", "group", "p0", "!br ping"))
        await until(lambda: len(port.sent) >= at_most + 1)
        said = Counter(text for _, text in port.sent)
        assert said.pop("pong") == most + 1
        ((notice, times),) = said.items()
        assert ("Too much waits" in notice, times) == (True, 1)

    assert COMMANDS_A_MINUTE >= 4  # nobody above is refused for writing too often
    at_a_desk(state, flood)


def test_channels_with_nothing_to_do_make_room_and_are_taken_up_where_they_were(
    state: State, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(desk, "MOST_CONVERSATIONS", 10)

    async def people(at: Desk, port: Platforms) -> None:
        begun = len(asyncio.all_tasks())
        for number in range(30):  # all of them at once: nobody is idle, nobody is cut off
            at.receive(Message(f"a{number}", f"c{number}", f"p{number}", "!br ping"))
        port.open.set()
        await until(lambda: len(port.sent) == 30)
        for number in range(30, 130):
            at.receive(Message(f"a{number}", f"c{number}", f"p{number}", "!br ping"))
            await until(lambda answers=number + 1: len(port.sent) == answers)
        await until(lambda: len(asyncio.all_tasks()) - begun <= 2 * desk.MOST_CONVERSATIONS)
        at.receive(Message("a0", "c0", "p0", "!br ping"))  # heard before
        at.receive(Message("z0", "c0", "p0", "!br ping"))
        await until(lambda: len(port.sent) == 131)
        assert port.sent[-1] == ("c0", "pong")
        assert set(Counter(channel for channel, _ in port.sent).values()) == {1, 2}

    at_a_desk(state, people)
