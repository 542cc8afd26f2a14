"""JSON-RPC with a signal-cli daemon: over its Unix socket, or over its HTTP port."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import msgspec

from brainrouter.bridge.lines import Lines

CALL_S = 60.0
EVENTS_S = 60.0  # signal-cli sends a sign of life every 15 s
Notify = Callable[[Any], None]


class LinkLost(Exception):
    """The connection is gone, or could not be made."""


class RpcError(Exception):
    """signal-cli refused. `data` is what it added."""

    def __init__(self, code: int, message: str, data: Any) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""
    data: Any = None


class _Reply(msgspec.Struct):
    id: str | int | None = None
    method: str | None = None
    params: Any = None
    result: Any = None
    error: _Error | None = None


_REPLY = msgspec.json.Decoder(_Reply)


class Link(Protocol):
    """One connection. `call` raises RpcError, LinkLost and TimeoutError."""

    async def call(self, method: str, params: Mapping[str, Any]) -> Any: ...

    async def listen(self, notify: Notify) -> None:
        """Hand the parameters of every `receive` to `notify`, until the connection ends."""
        ...

    def close(self) -> None:
        """Let the connection go. Safe to call twice."""
        ...


class SocketLink:
    """One line, one JSON object.

    What is sent leaves by a descriptor of its own: a write that fails closes an asyncio transport at once, and what the
    other side said before it left would be lost.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, outgoing: socket.socket
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._outgoing = outgoing
        self._turn = asyncio.Lock()
        self._calls: dict[str, asyncio.Future[_Reply]] = {}
        self._count = 0
        self._lost = False

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """Ask, and wait for the answer."""
        if self._lost:
            raise LinkLost("signal-cli closed the connection")
        self._count += 1
        number = str(self._count)
        line = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        answer = self._calls[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(CALL_S):
                await self._send(msgspec.json.encode(line) + b"\n")
                return _result(await answer)
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            raise LinkLost(str(error)) from error
        finally:
            self._calls.pop(number, None)

    async def listen(self, notify: Notify) -> None:
        """Read until the end; whoever still waits for an answer hears that the connection is lost."""
        lines = Lines()
        try:
            while data := await self._reader.read(1 << 16):
                for line in lines.feed(data):
                    self._take(line, notify)
        except OSError:
            pass
        finally:
            self._lost = True
            for answer in self._calls.values():
                if not answer.done():
                    answer.set_exception(LinkLost("signal-cli closed the connection"))
            self.close()

    def close(self) -> None:
        """Let the connection go, whether it was listened to or not. Safe to call twice."""
        self._lost = True
        self._writer.close()
        self._hang_up()
        if not self._turn.locked():  # else whoever sends closes it: a descriptor in use must stay what it is
            self._outgoing.close()

    async def _send(self, line: bytes) -> None:
        async with self._turn:
            if self._lost:
                raise LinkLost("signal-cli closed the connection")
            try:
                await asyncio.get_running_loop().sock_sendall(self._outgoing, line)
            except asyncio.CancelledError:
                self._hang_up()  # half a line may have left: nothing can follow it
                raise
            finally:
                if self._lost:
                    self._outgoing.close()

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self._outgoing.shutdown(socket.SHUT_RDWR)

    def _take(self, line: bytes, notify: Notify) -> None:
        try:
            reply = _REPLY.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if reply.method == "receive":
            notify(reply.params)
            return
        answer = self._calls.get(str(reply.id))
        if answer is not None and not answer.done():
            answer.set_result(reply)


class HttpLink:
    """POST for calls, one long event stream for what comes in. Blocking calls on threads: there are few."""

    def __init__(self, url: str) -> None:
        at = urlsplit(url)
        self._host, self._port = at.hostname or "127.0.0.1", at.port or 8080
        self._count = 0

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """Ask, and wait for the answer."""
        self._count += 1
        line = {"jsonrpc": "2.0", "id": str(self._count), "method": method, "params": params}
        return _result(await asyncio.to_thread(self._post, json.dumps(line)))

    def close(self) -> None:
        """Nothing is open between two calls; `listen` closes what it opened."""

    async def listen(self, notify: Notify) -> None:
        """Follow the event stream until it ends."""
        loop = asyncio.get_running_loop()
        connection = http.client.HTTPConnection(self._host, self._port, timeout=EVENTS_S)

        def told(params: Any) -> None:
            loop.call_soon_threadsafe(notify, params)

        try:
            await asyncio.to_thread(_events, connection, told)
        finally:
            if connection.sock is not None:
                # Wakes the thread that reads; close() alone would not.
                connection.sock.shutdown(2)
            connection.close()

    def _post(self, body: str) -> _Reply:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=CALL_S)
        try:
            connection.request("POST", "/api/v1/rpc", body, {"content-type": "application/json"})
            reply = connection.getresponse()
            raw = reply.read()
            if reply.status != 200:
                raise LinkLost(f"signal-cli answered {reply.status}")
            return _REPLY.decode(raw)
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
            raise LinkLost(f"signal-cli does not answer: {error}") from error
        finally:
            connection.close()


async def connect(address: str) -> Link:
    """A link to `address`: a path, or an http:// URL. Raises LinkLost."""
    if address.startswith(("http://", "https://")):
        return HttpLink(address)
    with contextlib.ExitStack() as undo:
        connection = undo.enter_context(socket.socket(socket.AF_UNIX))
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, address)
            outgoing = undo.enter_context(connection.dup())
            outgoing.setblocking(False)
            reader, writer = await asyncio.open_unix_connection(sock=connection)
        except OSError as error:
            raise LinkLost(f"signal-cli does not answer at {address}: {error.strerror or error}") from error
        undo.pop_all()
        return SocketLink(reader, writer, outgoing)


def _result(reply: _Reply) -> Any:
    if reply.error is not None:
        raise RpcError(reply.error.code, reply.error.message, reply.error.data)
    return reply.result


def _events(connection: http.client.HTTPConnection, told: Notify) -> None:
    try:
        connection.request("GET", "/api/v1/events", headers={"accept": "text/event-stream"})
        reply = connection.getresponse()
        if reply.status != 200:
            raise LinkLost(f"signal-cli answered {reply.status} to /api/v1/events")
        data = b""
        while line := reply.readline(1 << 23):
            if line.startswith(b"data:"):
                data += line[5:].strip()
            elif not line.strip() and data:
                event, data = data, b""
                _tell(event, told)
    except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
        # The last two: the connection was closed under the reading thread.
        raise LinkLost(f"signal-cli's events ended: {error}") from error


def _tell(event: bytes, told: Notify) -> None:
    try:
        tree: Any = msgspec.json.decode(event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if isinstance(tree, dict):
        fields = cast("dict[str, Any]", tree)
        told(fields.get("params", fields))
