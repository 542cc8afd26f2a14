"""The daemon as its own command line sees it: where it listens, and small questions to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from brainrouter.adapters.listen import port_file
from brainrouter.http1.client import Client
from brainrouter.http1.errors import UpstreamError
from brainrouter.http1.origin import Origin

DEFAULT_PORT = 9099
ANSWER_MAX_BYTES = 4 * 1024 * 1024


class NoAnswer(Exception):
    """The daemon, or what was asked in its place, did not answer; the text says how."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. `json` is None when the body is none."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return None


def port_of(socket: Path) -> int:
    """The port that the daemon on this socket published, or the usual one."""
    try:
        return int(port_file(socket).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return DEFAULT_PORT


async def ask(
    url: str,
    path: str,
    body: Any = None,
    *,
    socket: Path | None = None,
    key: str | None = None,
    timeout_s: float = 5.0,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One question over TCP, or over a Unix socket; a POST when there is a body. Raises NoAnswer."""
    client = Client()
    try:
        origin, base = Origin.parse(url)
        if socket is not None:
            origin = Origin("http", "localhost", 80, str(socket))
        lines = [(b"accept-encoding", b"identity"), (b"content-type", b"application/json")]
        lines += [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        if key:
            lines.append((b"authorization", b"Bearer " + key.encode()))
        payload = b"" if body is None else msgspec.json.encode(body)
        method = "GET" if body is None else "POST"
        async with asyncio.timeout(timeout_s):
            response = await client.request(
                origin, method, base + path, lines, payload, first_byte_s=timeout_s
            )
            try:
                content = await response.read(ANSWER_MAX_BYTES, timeout_s)
            finally:
                response.close()
        return Answer(response.status, content, response.headers)
    except TimeoutError:
        raise NoAnswer(f"no answer within {timeout_s:g} s") from None
    except (UpstreamError, OSError, ValueError) as error:
        raise NoAnswer(str(error) or type(error).__name__) from error
    finally:
        await client.close()
