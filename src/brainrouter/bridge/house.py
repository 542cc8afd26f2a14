"""The daemon as its bridges see it: a server behind a Unix socket, asked like any other client would."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

TIMEOUT_S = 10.0
MOST_BYTES = 4 << 20


class Unanswered(Exception):
    """The daemon (or llama-swap) did not do what was asked; the text says why."""


class _Row(msgspec.Struct):
    id: str
    context_length: int | None = None


class House:
    """`list_url`, when given, is a llama-swap whose own list of models stands in for the daemon's."""

    def __init__(self, socket_path: Path, list_url: str | None = None) -> None:
        self._socket_path = socket_path
        self._list_url = list_url

    async def models(self) -> dict[str, int | None]:
        """The models that can be asked, with their windows in tokens where known. Raises Unanswered."""
        if self._list_url is not None:
            tree = await asyncio.to_thread(_fetch, self._list_url)
        else:
            tree = await asyncio.to_thread(self._ask, "GET", "/v1/models", None)
        found: dict[str, int | None] = {"auto": None, "local": None, "cloud": None}
        try:
            rows = msgspec.convert(tree.get("data"), list[_Row])
        except msgspec.ValidationError as error:
            raise Unanswered(f"that is no list of models: {error}") from error
        return found | {row.id: row.context_length for row in rows}

    async def health(self) -> dict[str, Any]:
        """The body of /health. Raises Unanswered."""
        return await asyncio.to_thread(self._ask, "GET", "/health", None)

    async def review(self) -> dict[str, Any]:
        """How reviews run. Raises Unanswered."""
        return await asyncio.to_thread(self._ask, "GET", "/api/review-config", None)

    async def set_review(self, mode: str) -> dict[str, Any]:
        """Set how reviews run, for every caller. Raises Unanswered."""
        return await asyncio.to_thread(self._ask, "POST", "/api/review-config", {"forced_mode": mode})

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        connection = http.client.HTTPConnection("localhost", timeout=TIMEOUT_S)
        try:
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.settimeout(TIMEOUT_S)
            connection.sock.connect(str(self._socket_path))
            return _exchange(connection, method, path, body, "brainrouter")
        except (OSError, http.client.HTTPException) as error:
            raise Unanswered(f"brainrouter does not answer: {error}") from error
        finally:
            connection.close()


def _fetch(url: str) -> dict[str, Any]:
    at = urlsplit(url)
    kind = http.client.HTTPSConnection if at.scheme == "https" else http.client.HTTPConnection
    connection = kind(at.hostname or "", at.port, timeout=TIMEOUT_S)
    path = at.path.rstrip("/").removesuffix("/v1")
    try:
        return _exchange(connection, "GET", f"{path}/v1/models", None, "llama-swap")
    except (OSError, http.client.HTTPException) as error:
        raise Unanswered(f"llama-swap does not answer: {error}") from error
    finally:
        connection.close()


def _exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: Mapping[str, Any] | None, who: str
) -> dict[str, Any]:
    raw = None if body is None else json.dumps(body)
    connection.request(method, path, raw, {"content-type": "application/json"} if raw else {})
    reply = connection.getresponse()
    try:
        tree = json.loads(reply.read(MOST_BYTES))
    except (ValueError, RecursionError):
        tree = None
    if reply.status != 200 or not isinstance(tree, dict):
        raise Unanswered(f"{who} answered {reply.status}{_message(tree)}")
    return cast("dict[str, Any]", tree)


def _message(tree: Any) -> str:
    error = cast("dict[str, Any]", tree).get("error") if isinstance(tree, dict) else None
    said = cast("dict[str, Any]", error).get("message") if isinstance(error, dict) else None
    return f": {said[:200]}" if isinstance(said, str) else ""
