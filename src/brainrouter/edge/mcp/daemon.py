"""The daemon as the MCP server sees it: a few calls over its Unix socket, each with an answer or a reason."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from brainrouter.http1.client import Client, Origin, Response
from brainrouter.http1.errors import ConnectFailed, UpstreamError
from brainrouter.wire.sse import EventSplitter, SseOverflow, parse_event

CALL_S = 30.0
# The daemon sends a sign of life every few seconds while a review runs.
SILENCE_S = 60.0
ANSWER_MAX_BYTES = 32 * 1024 * 1024
SESSION_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

Progress = Callable[[float, str], Awaitable[None]]


class ToolError(Exception):
    """Why a tool call did not work, in words for the model and its user."""


class Daemon:
    """One call after the other or many at once; every one raises ToolError and nothing else."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._origin = Origin("http", "localhost", 80, str(socket))
        self._client = Client()

    async def close(self) -> None:
        """Let go of every connection."""
        await self._client.close()

    async def get(self, path: str) -> Any:
        """The JSON of a route that reads."""
        return await self._plain("GET", path, b"")

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON answer to a POST."""
        return await self._plain("POST", path, msgspec.json.encode(body))

    async def review(self, body: dict[str, Any], harness: str | None, progress: Progress) -> Any:
        """Ask for a review and wait for its end, however long that takes; `progress` hears seconds and words."""
        headers = [(b"accept", b"text/event-stream")]
        if harness:
            headers.append((b"x-brainrouter-harness", harness.encode("ascii")))
        response = await self._send("POST", "/review/api/request", msgspec.json.encode(body), headers)
        try:
            if b"event-stream" not in (response.headers.get("content-type") or "").encode():
                return _checked(response.status, await response.read(ANSWER_MAX_BYTES, CALL_S))
            return await self._follow(response, progress)
        except (UpstreamError, SseOverflow) as error:
            raise ToolError(
                f"brainrouter went away during the review ({error}). When it is back, call request_review again with "
                "the same taskId: the review is kept and goes on"
            ) from error
        finally:
            response.close()

    async def _follow(self, response: Response, progress: Progress) -> Any:
        events = EventSplitter()
        while piece := await response.chunk(SILENCE_S):
            for event in map(parse_event, events.feed(piece)):
                said: Any = msgspec.json.decode(event.data or b"null")
                if event.name == "result":
                    return said
                if event.name == "problem":
                    raise ToolError(said["error"]["message"])
                if event.name == "progress":
                    await progress(said["elapsedS"], said["message"])
        raise ToolError(
            "brainrouter ended the review without a result; call request_review again with the same taskId"
        )

    async def _plain(self, method: str, path: str, body: bytes) -> Any:
        response = await self._send(method, path, body, [])
        try:
            return _checked(response.status, await response.read(ANSWER_MAX_BYTES, CALL_S))
        except UpstreamError as error:
            raise ToolError(f"brainrouter went away in the middle of its answer: {error}") from error
        finally:
            response.close()

    async def _send(
        self, method: str, path: str, body: bytes, headers: list[tuple[bytes, bytes]]
    ) -> Response:
        if body:
            headers = [*headers, (b"content-type", b"application/json")]
        try:
            return await self._client.request(self._origin, method, path, headers, body, first_byte_s=CALL_S)
        except ConnectFailed as error:
            raise ToolError(
                f"brainrouter is not running: nobody listens on {self._socket}. Start it with `brainrouter up` (or its "
                "service), then call this tool again"
            ) from error
        except UpstreamError as error:
            raise ToolError(f"brainrouter did not answer on {self._socket}: {error}") from error


def _checked(status: int, body: bytes) -> Any:
    try:
        answer: Any = msgspec.json.decode(body)
        if status == 200:
            return answer
        raise ToolError(answer["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        raise ToolError(
            f"brainrouter answered {status} in a form that is not known; is it of this version?"
        ) from None
