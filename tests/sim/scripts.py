"""Constructors of scripts: what a test writes in place of dictionaries."""

from __future__ import annotations

import base64
from typing import Any

Script = dict[str, Any]


def answer(text: str | None = None, **shape: Any) -> Script:
    """A right answer in the caller's protocol, streamed when asked; `shape` as in play.py and answers.py."""
    return {"do": "answer", **({} if text is None else {"text": text}), **shape}


def calls(*named: tuple[str, Any], **shape: Any) -> Script:
    """Tool calls `(name, arguments)`, several at once when several are given."""
    return answer(**shape, tool_calls=[{"name": name, "arguments": arguments} for name, arguments in named])


def silence() -> Script:
    """Take the request, never say anything."""
    return {"do": "silence"}


def head_then(how: str = "stall", **shape: Any) -> Script:
    """A 200 head and no event: `stall`, `reset`, `fin`, `end`, `error` or `gate`."""
    return cut_after(0, how, **shape)


def cut_after(events: int, how: str = "stall", *, pings_s: float | None = None, **shape: Any) -> Script:
    """Break after so many events; `end` is a clean end of HTTP without the terminal event."""
    cut: dict[str, Any] = {"after": events, "how": how, **({"pings_s": pings_s} if pings_s else {})}
    return answer(**shape, cut=cut)


def reset() -> Script:
    """RST in place of an answer."""
    return {"do": "reset"}


def fin() -> Script:
    """FIN in place of an answer."""
    return {"do": "fin"}


def status(code: int, body: Any = None, *, retry_after: str | None = None, **shape: Any) -> Script:
    """A status with a body (an OpenAI-shaped error by default)."""
    error = {"error": {"message": f"sim says {code}", "type": "sim_error", "param": None, "code": None}}
    headers = {"retry-after": retry_after} if retry_after is not None else {}
    headers.update(shape.pop("headers", {}))
    return {"do": "raw", "status": code, "body": error if body is None else body, "headers": headers, **shape}


def error_200(message: str = "sim failed softly", **shape: Any) -> Script:
    """200 with an error as its body."""
    return status(200, {"error": {"message": message, "type": "server_error"}}, **shape)


def error_first(message: str = "sim failed softly", **shape: Any) -> Script:
    """A 200 stream whose first event is an error."""
    return answer(**shape, stream=True, cut={"after": 0, "how": "error", "message": message})


def sse(raw: str | bytes, **shape: Any) -> Script:
    """A 200 stream of exactly these bytes, in right HTTP framing."""
    data = raw.encode() if isinstance(raw, str) else raw
    return {
        "do": "raw",
        "event_stream": True,
        "framing": "chunked",
        "b64": base64.b64encode(data).decode(),
        **shape,
    }


def insert(at: int, raw: bytes, **shape: Any) -> Script:
    """An answer with these bytes before the event of that number: rubbish JSON, invalid UTF-8."""
    return answer(**shape, insert=[{"at": at, "b64": base64.b64encode(raw).decode()}])


def wire(raw: bytes, then: str = "close") -> Script:
    """Exactly these bytes on the wire, head and all; then `close`, `keep`, `reset` or `stall`."""
    return {"do": "bytes", "b64": base64.b64encode(raw).decode(), "then": then}


def redirect(location: str, code: int = 307) -> Script:
    """A redirect, which nobody should follow."""
    return status(code, "", headers={"location": location})


def empty() -> Script:
    """A 200 answer with neither text nor tool call."""
    return answer("", usage={"input": 0, "output": 0})


def endless(gap_s: float = 0.0, size: int = 1024) -> Script:
    """Deltas for ever."""
    return {"do": "endless", "gap_s": gap_s, "size": size}


def drip(gap_s: float = 1.0) -> Script:
    """One byte of a body at a time, for ever."""
    return {"do": "drip", "gap_s": gap_s}


def huge_line(size: int = 64 << 20) -> Script:
    """One SSE line of that size."""
    return {"do": "huge_line", "size": size}


def bomb(zeros: int = 1 << 30) -> Script:
    """A gzip body that opens into that many bytes."""
    return {"do": "raw", "zeros": zeros}


def early_hints(body: bytes = b'{"late":1}') -> Script:
    """A 103 before the real answer."""
    head = b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n"
    return wire(
        head + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body, "keep"
    )


def wrong_length(delta: int, body: bytes = b'{"a":1}', then: str = "keep") -> Script:
    """A content-length off by `delta`: negative leaves extra bytes, positive leaves the peer waiting."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (
        len(body) + delta
    )
    return wire(head + body, then)
