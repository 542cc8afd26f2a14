"""signal-cli's daemon, as a bridge sees it: JSON-RPC by lines on a Unix socket, or over HTTP with an event stream.

Like the real one it reads lines as they come, carries each out by itself, and when it is told to end closes its socket's
connections first: what it had read is still carried out, and nobody hears how that went; what it had not read is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import socket
import struct
import termios
import time
from collections import deque
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from tests.sim.door import Door
from tests.sim.loop_thread import LoopThread

ACCOUNT = "+15550000001"
VERSION = "0.13.19"  # the one that tests/clients/test_signal_cli.py holds this fake to
OF_ONE_ACCOUNT = frozenset({"send", "sendTyping"})
METHODS = OF_ONE_ACCOUNT | {"version", "listAccounts", "subscribeReceive"}


def uuid_of(number: str) -> str | None:
    """Half of the people hide their number's account id, as older accounts did."""
    return None if int(number[-1]) % 2 else f"00000000-0000-4000-8000-{number.removeprefix('+'):0>12}"


class Signal:
    """Runs on a thread of its own; its methods may be called from any other. Messages wait while nobody listens."""

    def __init__(self, path: Path, *, over_http: bool = False, several: bool = True) -> None:
        self._thread = LoopThread()
        self._path = path
        self._over_http = over_http
        self._several = several
        self._clients: set[asyncio.StreamWriter | web.StreamResponse] = set()
        self._connected: set[asyncio.StreamWriter] = set()
        self._waiting: deque[dict[str, Any]] = deque()
        self._wrapped = False
        self._last = 0
        self._ending = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        self.sending = 0
        self.takes_s = 0.0  # how long Signal's servers take over a message
        self.sent: list[dict[str, Any]] = []
        self.typed: list[dict[str, Any]] = []
        self.connections = 0
        self.faults: deque[Any] = deque()
        self.junk = b""
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.__enter__()
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.drop(reopen=False)
        self._thread.__exit__()

    @property
    def address(self) -> str:
        return self.url or str(self._path)

    def open(self) -> None:
        """Listen."""
        self._thread.run(self._open())

    def drop(self, *, reopen: bool = True) -> None:
        """End as signal-cli does when it is restarted: every connection closes."""
        self._thread.run(self._close())
        if reopen:
            self.open()

    def stop_reading(self) -> None:
        """Read nothing more from those who are connected now, as a daemon that is stopped or busy."""
        self._thread.run(self._stop_reading())

    def unread(self) -> int:
        """How many bytes lie in the connections, unread."""
        return self._thread.run(self._unread())

    def says(
        self, text: str, *, user: str, group: str | None = None, timestamp: int | None = None, **more: Any
    ) -> int:
        """Somebody writes; gives the timestamp, which is the message's id."""
        at = timestamp or max(self._last + 1, int(time.time() * 1000))
        self._last = max(self._last, at)
        data: dict[str, Any] = {"timestamp": at, "message": text, "expiresInSeconds": 0, "viewOnce": False}
        if group is not None:
            data["groupInfo"] = {"groupId": group, "type": "DELIVER"}
        self.push(user, at, {"dataMessage": data | more})
        return at

    def push(self, user: str, at: int, content: dict[str, Any]) -> None:
        """Hand an envelope to whoever listens, in either shape by turns."""
        who = {
            "source": user,
            "sourceNumber": user,
            "sourceUuid": uuid_of(user),
            "sourceName": "x",
            "sourceDevice": 1,
        }
        params: dict[str, Any] = {"envelope": {**who, "timestamp": at, **content}, "account": ACCOUNT}
        self._wrapped = not self._wrapped
        if self._wrapped and not self._over_http:
            params = {"subscription": 0, "result": params}
        self._thread.run(self._push({"jsonrpc": "2.0", "method": "receive", "params": params}))

    async def _open(self) -> None:
        if self._over_http:
            app = web.Application(client_max_size=16 << 20)
            app.router.add_post("/api/v1/rpc", self._post)
            app.router.add_get("/api/v1/events", self._events)
            self._ending.clear()
            self._runner = web.AppRunner(app, shutdown_timeout=2.0)  # as the real one waits for calls
            await self._runner.setup()
            at = ("127.0.0.1", int(self.url.rsplit(":", 1)[1]) if self.url else 0)
            self._door = Door(socket.create_server(at), self._take_in_http)
            self.url = f"http://127.0.0.1:{self._door.port}"
        else:
            self._path.unlink(missing_ok=True)
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(str(self._path))
            listening.listen()
            self._door = Door(listening, self._take_in)

    async def _close(self) -> None:
        if self._over_http:
            self._ending.set()
            await self._door.close()
            await self._runner.cleanup()
        else:
            self._path.unlink(missing_ok=True)
            await self._door.close()
        for writer in self._connected:
            writer.transport.abort()
        self._clients.clear()

    async def _take_in_http(self, connection: socket.socket) -> None:
        assert self._runner.server is not None
        await asyncio.get_running_loop().connect_accepted_socket(self._runner.server, connection)

    async def _take_in(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=16 << 20)
        writer.transport.set_write_buffer_limits(0)  # a break loses what has not left yet: it is said again
        self._connected.add(writer)
        self._begin(self._serve(reader, writer))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _stop_reading(self) -> None:
        for writer in self._connected:
            writer.transport.pause_reading()  # type: ignore[attr-defined]

    async def _unread(self) -> int:
        return sum(
            struct.unpack("i", fcntl.ioctl(writer.get_extra_info("socket"), termios.FIONREAD, bytes(4)))[0]
            for writer in self._connected
        )

    async def _push(self, event: dict[str, Any]) -> None:
        taken = False
        for client in list(
            self._clients if not self._waiting else ()
        ):  # else somebody is being told those first
            try:
                await self._to(client, event)
                taken = True
            except ConnectionError:
                self._clients.discard(client)
        if not taken:
            self._waiting.append(event)

    async def _to(self, client: asyncio.StreamWriter | web.StreamResponse, event: dict[str, Any]) -> None:
        raw = json.dumps(event).encode()
        if isinstance(client, asyncio.StreamWriter):
            if client.is_closing():
                raise ConnectionResetError
            client.write(self.junk + raw + b"\n")
            await client.drain()
            if client.is_closing():  # drain is silent about it; who has heard it passes over the second time
                raise ConnectionResetError
        else:
            await client.write(b"event:receive\ndata:" + raw + b"\n\n")

    async def _listens(self, client: asyncio.StreamWriter | web.StreamResponse) -> None:
        self.connections += 1
        self._clients.add(client)
        while self._waiting:
            event = self._waiting.popleft()
            try:
                await self._to(client, event)
            except (ConnectionError, asyncio.CancelledError):
                self._waiting.appendleft(event)  # for the next who listens
                self._clients.discard(client)
                raise

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while line := await reader.readline():
                if not line.endswith(b"\n") and writer.is_closing():
                    break  # cut off by our own end; a last line of one who left counts without its end
                self._begin(self._carry_out(line, writer))
        self._clients.discard(writer)
        self._connected.discard(writer)
        writer.close()

    async def _carry_out(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        answer = await self._answer(line)
        if answer is None:
            writer.transport.abort()
        elif answer and not writer.is_closing():
            writer.write(json.dumps(answer).encode() + b"\n")
        if b'"subscribeReceive"' in line and not writer.is_closing():
            with contextlib.suppress(ConnectionError):
                await self._listens(writer)

    async def _post(self, request: web.Request) -> web.Response:
        if self.faults and self.faults[0] == "unread" and request.transport is not None:
            self.faults.popleft()
            request.transport.abort()  # the headers are read, the body is not
        answer = await self._answer(await request.read())
        if answer is None and request.transport is not None:
            request.transport.close()
        return web.json_response(answer)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b":\n")
        with contextlib.suppress(ConnectionError):
            await self._listens(response)
            while not self._ending.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), 0.2)
                await response.write(b":\n")
        self._clients.discard(response)
        return response

    async def _answer(self, line: bytes) -> dict[str, Any] | None:
        """The reply to one line; {} for silence, None for a connection that breaks."""
        try:
            call = json.loads(line)
        except ValueError:
            return _error(None, -32700, "Parse error")
        if not isinstance(call, dict) or call.get("jsonrpc") != "2.0":
            return _error(None, -32600, "invalid request")
        method, params, number = call.get("method"), call.get("params") or {}, call.get("id")
        if method not in METHODS or (method == "subscribeReceive" and self._over_http):
            return _error(number, -32601, "Method not implemented")
        if not self._several and method == "listAccounts":
            return _error(number, -32601, "Method not implemented")
        if self._several and params.get("account", ACCOUNT) != ACCOUNT:
            return _error(number, -32602, "Specified account does not exist")
        if self._several and "account" not in params and method in OF_ONE_ACCOUNT:
            return _error(number, -32602, "Method requires valid account parameter")
        if method == "version":
            return _result(number, {"version": VERSION})
        if method == "listAccounts":
            return _result(number, [{"number": ACCOUNT}])
        if method == "subscribeReceive":
            return _result(number, 0)
        if method == "sendTyping":
            self.typed.append(params)
            return _result(number, {})
        return await self._send(number, params)

    async def _send(self, number: Any, params: dict[str, Any]) -> dict[str, Any] | None:
        fault = self.faults.popleft() if self.faults else None
        if fault == "killed":  # between reading and sending
            return None
        if fault == "silence":
            return {}
        self.sending += 1
        await asyncio.sleep(self.takes_s)
        self.sending -= 1
        if isinstance(fault, int):
            return _error(number, fault, "Failed to send message")
        to = (params.get("recipient") or ["group"])[0]
        row: dict[str, Any] = {"recipientAddress": {"uuid": to, "number": None}, "type": "SUCCESS"}
        if isinstance(fault, dict):
            row |= fault
            if fault.get("in_error"):
                return _error(number, -1, "Failed to send message", {"response": {"results": [row]}})
        else:
            self.sent.append(params)
        if fault == "ended":  # between sending and answering
            return None
        return _result(number, {"timestamp": int(time.time() * 1000), "results": [row]})


def _result(number: Any, result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "result": result}


def _error(number: Any, code: int, message: str, data: Any = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message, "data": data}}
