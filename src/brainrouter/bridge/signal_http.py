"""JSON-RPC with a signal-cli daemon over its HTTP port. Blocking calls on threads: there are few."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import threading
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from brainrouter.bridge.signal_rpc import CALL_S, REPLY, AnswerLost, LinkLost, Notify, Reply, request

EVENTS_S = 60.0  # signal-cli sends a sign of life every 15 s
BIDDEN_S = 2.0


class HttpLink:
    """POST for calls, one long event stream for what comes in.

    A call's body leaves when signal-cli has asked for it (`100 Continue`): by then it waits for that body, so when the
    connection ends without an answer, a plain end says that it has read the whole, and a reset that it has not.
    """

    def __init__(self, url: str) -> None:
        at = urlsplit(url)
        self._host, self._port = at.hostname or "127.0.0.1", at.port or 8080
        self._count = 0

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """Ask, and wait for the answer."""
        self._count += 1
        body = request(str(self._count), method, params)
        return (await asyncio.to_thread(self._post, body)).value()

    def close(self) -> None:
        """Nothing is open between two calls; `listen` closes what it opened."""

    async def listen(self, notify: Notify) -> None:
        """Follow the event stream until it ends. Raises LinkLost."""
        loop = asyncio.get_running_loop()
        connection = http.client.HTTPConnection(self._host, self._port, timeout=EVENTS_S)
        connection.auto_open = 0
        left = threading.Event()

        def told(params: Any) -> None:
            loop.call_soon_threadsafe(notify, params)

        try:
            await asyncio.to_thread(_events, connection, told, left)
        finally:
            left.set()
            if connection.sock is not None:
                # Wakes the thread that reads; close() alone would not.
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _post(self, body: bytes) -> Reply:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=CALL_S)
        gone = LinkLost
        try:
            connection.putrequest("POST", "/api/v1/rpc")
            for name, value in (("type", "application/json"), ("length", str(len(body)))):
                connection.putheader(f"content-{name}", value)
            connection.putheader("expect", "100-continue")
            connection.endheaders()
            if _bidden(connection.sock):
                connection.send(body)
                gone = AnswerLost
            try:
                reply = connection.getresponse()
            except http.client.RemoteDisconnected:  # the plain end
                raise
            except ConnectionResetError:
                gone = LinkLost
                raise
            raw = reply.read()
            if reply.status != 200:
                raise LinkLost(f"signal-cli answered {reply.status}")
            return REPLY.decode(raw)
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
            raise gone(f"signal-cli does not answer: {error}") from error
        finally:
            connection.close()


def _bidden(connection: socket.socket) -> bool:
    """Whether the body may leave. Where nothing is said about it in time, it may."""
    connection.settimeout(BIDDEN_S)
    try:
        said = connection.recv(12, socket.MSG_PEEK)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(CALL_S)
    return said.startswith(b"HTTP/1.1 1")


def _events(connection: http.client.HTTPConnection, told: Notify, left: threading.Event) -> None:
    try:
        connection.connect()
        if left.is_set():  # nobody saw this connection to close it
            connection.close()
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
