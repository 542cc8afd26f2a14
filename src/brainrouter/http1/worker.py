"""The task of a connection: its requests are answered in it, one after the other."""

import asyncio
from typing import Protocol


class Work(Protocol):
    """What can be done in the task."""

    async def run(self) -> None:
        """Do it, to the end or until it is cancelled."""
        ...


class Worker:
    """One task for all that a connection has to do. Measured: a task for each request costs a twentieth of it."""

    __slots__ = ("_idle", "_loop", "_over", "_task", "_todo")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        self._idle: asyncio.Future[None] | None = None
        self._todo: Work | None = None
        self._over = False

    def do(self, work: Work) -> None:
        """Begin this with the next round of the loop, or when what was begun before has ended."""
        self._todo = work
        idle, self._idle = self._idle, None
        if self._task is None:
            self._task = self._loop.create_task(self._work())
        elif idle is not None:
            idle.set_result(None)

    def stop(self) -> None:
        """Nothing more will come, and what runs is cancelled. What has not begun still runs: it cleans up."""
        self._over = True
        if self._task is not None and self._todo is None:
            self._task.cancel()

    async def _work(self) -> None:
        try:
            while not self._over or self._todo is not None:
                work, self._todo = self._todo, None
                if work is not None:
                    await work.run()
                if self._todo is None and not self._over:
                    self._idle = self._loop.create_future()
                    await self._idle
        finally:
            self._task = self._idle = None
