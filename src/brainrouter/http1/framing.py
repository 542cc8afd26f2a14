"""Requests and replies to bytes: start lines, header lines."""

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from http import HTTPStatus

from brainrouter.http1.message import Body, HeaderLines, SharedLines
from brainrouter.http1.origin import Origin
from brainrouter.remembered import remembered

CLOSE = b"connection: close\r\n"
KEEP_ALIVE = b"connection: keep-alive\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
JOIN_BELOW = (
    16 * 1024
)  # smaller pieces are copied into one write; measured: no gain from writelines below that
BODILESS = frozenset({204, 304})

ErrorBody = Callable[[int, str, str], tuple[bytes, str]]

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_starts: dict[tuple[int, str], bytes] = {}
_STARTS_MAX = 256


def plain_error(status: int, message: str, path: str) -> tuple[bytes, str]:
    """The body of an error that the server itself answers, when nobody gave it another."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    error = {"message": message, "type": kind, "param": None, "code": None}
    return json.dumps({"error": error}).encode(), "application/json"


def start(status: int, content_type: str) -> bytes:
    """Status line and content-type, kept: a server says few different ones."""
    key = (status, content_type)
    known = _starts.get(key)
    if known is None:
        kind = header_lines((("content-type", content_type),)) if content_type else b""
        known = b"HTTP/1.1 %d %b\r\n%b" % (status, _REASONS.get(status, "Status").encode(), kind)
        if len(_starts) < _STARTS_MAX:
            _starts[key] = known
    return known


def header_lines(headers: Iterable[tuple[str, str]]) -> bytes:
    """Header lines to bytes. Raises ValueError for anything that could start another line."""
    lines = [f"{name}: {value}\r\n" for name, value in headers]
    raw = "".join(lines).encode("latin-1", "replace")
    if raw.count(b"\r") != len(lines) or raw.count(b"\n") != len(lines) or 0 in raw:
        message = "a header value may not hold CR, LF or NUL"
        raise ValueError(message)
    return raw


def whole_head(
    status: int,
    content_type: str,
    headers: Iterable[tuple[str, str]],
    size: int,
    after: bytes,
    made: bytes = b"",
) -> bytes:
    """The head of a reply of known size; `made` are lines that are ready, `after` is the connection line or nothing."""
    lines = header_lines(headers) + made if headers else made
    if status in BODILESS:
        return b"%b%b%b\r\n" % (start(status, ""), lines, after)
    return b"%b%bcontent-length: %d\r\n%b\r\n" % (start(status, content_type), lines, size, after)


def stream_head(
    status: int,
    content_type: str,
    headers: Iterable[tuple[str, str]],
    after: bytes,
    made: bytes = b"",
    *,
    chunked: bool,
) -> bytes:
    """The head of a stream: chunked, or (HTTP/1.0) ended by the connection's end."""
    lines = header_lines(headers) + made if headers else made
    framing = b"transfer-encoding: chunked\r\n" if chunked else b""
    return b"%b%b%b%b\r\n" % (start(status, content_type), lines, framing, after)


def request_pieces(
    origin: Origin, method: str, path: str, headers: HeaderLines, body: Body, shared: SharedLines = ()
) -> list[bytes | memoryview]:
    """The bytes of a request. Raises ValueError for what would break its framing."""
    own = request_lines(headers) if headers else b""
    pieces = body if isinstance(body, tuple) else (body,)
    size = sum(map(len, pieces))
    length = b"content-length: %d\r\n" % size if size or method not in ("GET", "HEAD") else b""
    head = b"%b%b%b%b\r\n" % (_opening(method, path, origin.authority), length, _shared(shared), own)
    return [head, *pieces] if size else [head]


@lru_cache(maxsize=64)  # a harness asks at one path, for ever
def _opening(method: str, path: str, authority: bytes) -> bytes:
    first = f"{method} {path} HTTP/1.1\r\n".encode("ascii")
    if (
        first.count(b" ") != 2
        or first.count(b"\r") != 1
        or first.count(b"\n") != 1
        or path[:1] != "/"
        or "\0" in path
    ):
        message = "a request line that would break the framing"
        raise ValueError(message)
    return b"%bhost: %b\r\n" % (first, authority)


def request_lines(headers: HeaderLines) -> bytes:
    """A request's own header lines to bytes. Raises ValueError for what would break the framing."""
    raw = b"".join([b"%b: %b\r\n" % line for line in headers])
    low = b"\n" + raw.lower()
    if (
        raw.count(b"\n") != len(headers)
        or raw.count(b"\r") != len(headers)
        or 0 in raw
        or low.find(b"\nhost:") >= 0
        or low.find(b"\ncontent-length:") >= 0
        or low.find(b"\ntransfer-encoding:") >= 0
    ):
        message = "a header that would break the framing"
        raise ValueError(message)
    return raw


_shared: Callable[[SharedLines], bytes] = remembered(request_lines, 256)
