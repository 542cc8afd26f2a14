"""JSON-RPC with a signal-cli daemon over its Unix socket: one line, one JSON object.

signal-cli carries out every whole line that it reads, also when the connection ends meanwhile, and it has no mark
against repetitions. So what counts at a break is whether a line was read, and the kernel knows: a Unix socket that is
closed with something unread in it gives its peer ECONNRESET in place of the plain end. As a line is written only when
all before it was read, no more than the last one can be in doubt.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import select
import socket
import struct
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from brainrouter.bridge.lines import Lines
from brainrouter.bridge.signal_rpc import CALL_S, REPLY, AnswerLost, LinkLost, Notify, Reply, request

UNREAD_POLL_S = 0.005
GONE = "signal-cli closed the connection"


@dataclass(slots=True)
class _Call:
    line: bytes
    answer: asyncio.Future[Reply]
    written: bool = False
    read: bool = False


class SocketLink:
    """Takes the socket over. What is asked leaves in order, and whole, whoever stops waiting for its answer."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._calls: dict[str, _Call] = {}
        self._outbox: asyncio.Queue[_Call | None] = asyncio.Queue()
        self._count = 0
        self._lost = False
        self._reset = False

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """Ask, and wait for the answer, while somebody listens."""
        if self._lost:
            raise LinkLost(GONE)
        self._count += 1
        number = str(self._count)
        asked = _Call(request(number, method, params) + b"\n", asyncio.get_running_loop().create_future())
        self._calls[number] = asked
        self._outbox.put_nowait(asked)
        try:
            async with asyncio.timeout(CALL_S):
                return (await asked.answer).value()
        finally:
            del self._calls[number]

    async def listen(self, notify: Notify) -> None:
        """Read until the end. Whoever still waits then hears whether signal-cli had read what they asked."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write())
                await self._read(notify)
                self._lost = True
                self._outbox.put_nowait(None)
                self._hang_up()  # wakes a write that waits for room
        finally:
            self._lost = True
            self._settle()
            self.close()

    def close(self) -> None:
        """Let the connection go, whether it was listened to or not. Safe to call twice."""
        self._lost = True
        self._hang_up()
        self._socket.close()

    async def _read(self, notify: Notify) -> None:
        """To the end: what was said before a break comes out of the socket before the break does."""
        loop, lines = asyncio.get_running_loop(), Lines()
        try:
            while data := await loop.sock_recv(self._socket, 1 << 16):
                for line in lines.feed(data):
                    self._take(line, notify)
        except ConnectionResetError:
            self._reset = True
        except OSError:
            pass

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while (asked := await self._outbox.get()) is not None:
            await self._until_read()
            if asked.answer.done():
                continue  # nobody waits any more, and nothing of it has left
            try:
                await loop.sock_sendall(self._socket, asked.line)
            except ConnectionResetError:
                self._reset = True  # told once, to whoever asks first
                return
            except OSError:
                return
            asked.written = True

    async def _until_read(self) -> None:
        while (unread := _unread(self._socket)) and not self._lost:
            await asyncio.sleep(UNREAD_POLL_S)
        # What lay there unread when the other side left is gone as well: then it proves nothing.
        if unread == 0 and not _ended(self._socket):
            for asked in self._calls.values():
                asked.read = asked.written

    def _settle(self) -> None:
        for asked in self._calls.values():
            if not asked.answer.done():
                taken = asked.written and (asked.read or not self._reset)
                asked.answer.set_exception((AnswerLost if taken else LinkLost)(GONE))

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _take(self, line: bytes, notify: Notify) -> None:
        try:
            reply = REPLY.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if reply.method == "receive":
            notify(reply.params)
            return
        asked = self._calls.get(str(reply.id))
        if asked is not None and not asked.answer.done():
            asked.answer.set_result(reply)


async def connect(path: str) -> SocketLink:
    """A link to the daemon that listens at `path`. Raises LinkLost."""
    connection = socket.socket(socket.AF_UNIX)
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connection, path)
    except BaseException as error:
        connection.close()
        if isinstance(error, OSError):
            raise LinkLost(f"signal-cli does not answer at {path}: {error.strerror or error}") from error
        raise
    return SocketLink(connection)


def _unread(connection: socket.socket) -> int | None:
    """How much of what was written the other side has not read; None where the system does not tell."""
    try:
        raw = fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4))
    except OSError:
        return None
    return struct.unpack("i", raw)[0]


def _ended(connection: socket.socket) -> bool:
    """Whether the other side has left, or an error waits to be told; takes neither off the socket."""
    ended = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
    poll = select.poll()
    poll.register(connection, ended)
    return any(events & ended for _, events in poll.poll(0))
