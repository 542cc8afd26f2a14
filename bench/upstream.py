"""An upstream that costs next to nothing: answers built beforehand, uvloop, no HTTP library.

`python -m bench.upstream --port 3900`. A request with `"stream":true` gets `--chunks` SSE chunks, the first with
the head and then one each `--pace-ms` (0: all at once); each carries the clock, so that a client on the same machine
can tell how long it took to arrive.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass
from typing import Any, cast

import uvloop

ROUTE = b"".join(b"X-Manifest-%b: bench\r\n" % name for name in (b"Tier", b"Model", b"Provider", b"Reason"))
ENVELOPE: dict[str, Any] = {"id": "chatcmpl-bench", "created": 1_770_000_000, "model": "bench"}
PACE = re.compile(rb"GET /pace/([0-9]+)/([0-9]+) ")
STREAM_MARKS = (b'"stream":true', b'"stream": true')


def _whole() -> bytes:
    message = {"role": "assistant", "content": "The answer of the bench upstream, forty words long. " * 5}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
    body = json.dumps({**ENVELOPE, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + ROUTE
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


def _sse(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    document = {**ENVELOPE, "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n"


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


WHOLE = _whole()
JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
HEALTHY = b'{"status":"healthy","object":"list","data":[]}'
SMALL = JSON_HEAD % len(HEALTHY) + HEALTHY
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n" + ROUTE + b"transfer-encoding: chunked\r\n\r\n"
)
CLOCK = "0123456789012345678"
TIMED = _framed(_sse({"role": "assistant", "content": f"t={CLOCK};"}))
BEFORE, AFTER = TIMED.split(CLOCK.encode())
TAIL = _framed(_sse({}, "stop")) + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def timed_chunk() -> bytes:
    """One chunk with the clock in it."""
    return b"%b%019d%b" % (BEFORE, time.perf_counter_ns(), AFTER)


@dataclass
class Ways:
    """How streams go now; `GET /pace/CHUNKS/MICROSECONDS` changes it. `GET /left` tells when one was last left."""

    chunks: int
    pace_s: float
    left_ns: int = 0


class Upstream(asyncio.Protocol):
    """One connection; requests one after the other."""

    def __init__(self, ways: Ways) -> None:
        self.ways = ways
        self.buffer = bytearray()
        self.need = 0
        self.streaming = False
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Collect until the request is whole, then answer."""
        self.buffer += data
        while len(self.buffer) >= self.need:
            if not self.need:
                end = self.buffer.find(b"\r\n\r\n")
                if end < 0:
                    return
                self.need = end + 4 + self._length(bytes(self.buffer[:end]))
                continue
            request = bytes(self.buffer[: self.need])
            del self.buffer[: self.need]
            self.need = 0
            self._answer(request)
            if not self.buffer:
                return

    def _length(self, head: bytes) -> int:
        at = head.lower().find(b"content-length:")
        return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0

    def _answer(self, request: bytes) -> None:
        if request.startswith(b"GET"):
            if pace := PACE.match(request):
                self.ways.chunks, self.ways.pace_s = int(pace[1]), int(pace[2]) / 1e6
            if request.startswith(b"GET /left "):
                body = json.dumps({"left_ns": self.ways.left_ns}).encode()
                self.transport.write(JSON_HEAD % len(body) + body)
                return
            self.transport.write(SMALL)
        elif not any(mark in request for mark in STREAM_MARKS):
            self.transport.write(WHOLE)
        elif not self.ways.pace_s:
            chunks = b"".join(timed_chunk() for _ in range(self.ways.chunks))
            self.transport.write(HEAD + chunks + TAIL)
        else:
            self.streaming = True
            self.transport.write(HEAD + timed_chunk())
            self.loop.call_later(self.ways.pace_s, self._next, self.ways.chunks - 1)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.streaming:
            self.ways.left_ns = time.perf_counter_ns()

    def _next(self, left: int) -> None:
        if self.transport.is_closing():
            return
        if left <= 0:
            self.streaming = False
            self.transport.write(TAIL)
            return
        self.transport.write(timed_chunk())
        self.loop.call_later(self.ways.pace_s, self._next, left - 1)


async def serve(port: int, chunks: int, pace_s: float) -> None:
    """Serve until killed; one JSON line when listening."""
    loop = asyncio.get_running_loop()
    ways = Ways(chunks, pace_s)
    server = await loop.create_server(lambda: Upstream(ways), "127.0.0.1", port, backlog=1024)
    sys.stdout.write(json.dumps({"ready": True, "port": server.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> None:
    """The command line."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--chunks", type=int, default=10)
    arguments.add_argument("--pace-ms", type=float, default=5.0)
    options = arguments.parse_args()
    uvloop.run(serve(options.port, options.chunks, options.pace_ms / 1000))


if __name__ == "__main__":
    main()
