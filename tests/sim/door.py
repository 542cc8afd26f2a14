"""A listening socket that loses nobody: asyncio's own server leaves one open who is taken in as it closes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any


class Door:
    """Hands every connection to `take_in`, on the loop that it is made on. Takes the listening socket over."""

    def __init__(self, listening: socket.socket, take_in: Callable[[socket.socket], Awaitable[Any]]) -> None:
        self._listening = listening
        self._take_in = take_in
        self._coming: set[asyncio.Task[None]] = set()
        listening.setblocking(False)
        asyncio.get_running_loop().add_reader(listening, self._comes)

    @property
    def port(self) -> int:
        return self._listening.getsockname()[1]

    async def close(self) -> None:
        """Take nobody in any more; those who came before have all been handed on then."""
        asyncio.get_running_loop().remove_reader(self._listening)
        self._listening.close()
        if self._coming:
            await asyncio.wait(self._coming)

    def _comes(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        connection.setblocking(False)
        task = asyncio.create_task(self._hand_on(connection))
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)

    async def _hand_on(self, connection: socket.socket) -> None:
        await self._take_in(connection)
