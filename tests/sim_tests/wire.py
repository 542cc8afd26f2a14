"""A plain socket client: what a fake sent, byte for byte."""

from __future__ import annotations

import json
import socket
from typing import Any


def request(
    path: str, body: Any = None, *, method: str = "POST", headers: dict[str, str] | None = None
) -> bytes:
    """An HTTP/1.1 request as bytes."""
    payload = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "host: sim", f"content-length: {len(payload)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + payload


def connect(port: int) -> socket.socket:
    """A connection with a deadline on every read."""
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def read_all(sock: socket.socket) -> bytes:
    """Everything until the other side closes."""
    data = bytearray()
    while piece := sock.recv(1 << 16):
        data += piece
    return bytes(data)


def read_until(sock: socket.socket, mark: bytes) -> bytes:
    """Everything up to and including `mark`, and what came with it."""
    data = bytearray()
    while mark not in data:
        piece = sock.recv(1 << 16)
        if not piece:
            raise AssertionError(f"closed before {mark!r}: {bytes(data)!r}")
        data += piece
    return bytes(data)


def ask(port: int, path: str, body: Any, **headers: str) -> bytes:
    """One request on its own connection, the whole answer."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()} | {"connection": "close"}
    with connect(port) as sock:
        sock.sendall(request(path, body, headers=fields))
        return read_all(sock)


def chat(*, stream: bool = False, **more: Any) -> dict[str, Any]:
    """A small chat request."""
    return {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "stream": stream, **more}
