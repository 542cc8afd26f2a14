"""An event loop on a thread of its own, for fakes and for what is tested against them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Self, TypeVar

T = TypeVar("T")
WAIT_S = 20.0


class LoopThread:
    """A context manager; ends with every task cancelled and awaited."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self.loop: asyncio.AbstractEventLoop

    def _main(self) -> None:
        with self._runner:
            self._runner.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._ready.set()
        await self._stop.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "a task does not end when it is cancelled"

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it there and wait for what it gives."""
        return self.start(coroutine).result(WAIT_S)

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run it there; cancelling the future cancels it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)
