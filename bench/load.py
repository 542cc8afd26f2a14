"""A load client that costs little: raw requests built beforehand, uvloop protocols, no HTTP library.

By hand: `python -m bench.load http://127.0.0.1:9099/v1/chat/completions --stream --concurrency 64`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import re
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

from bench.processes import CLIENT_KEY

CLOCK = re.compile(rb"t=([0-9]{19});")
RUN_S = 60.0
WORDS = "The parser keeps a buffer of what has not been read; each call takes one event from it. "


TURN_BYTES = 2000
ENDS = {"chat": b"data: [DONE]", "messages": b'"message_stop"'}


def body(
    size: int,
    *,
    stream: bool,
    model: str = "cloud",
    protocol: str = "chat",
    turn: int = TURN_BYTES,
    number: int = 0,
) -> bytes:
    """A request of about `size` bytes, in turns of `turn` bytes as an agent's session has them.

    Another `number` is another conversation.
    """
    turns: list[dict[str, Any]] = []
    document: dict[str, Any] = {"model": model, "messages": turns, "stream": stream}
    system = "You are a coding agent."
    if protocol == "messages":
        document |= {"system": system, "max_tokens": 1024}
    else:
        turns.append({"role": "system", "content": system})
    turns.append({"role": "user", "content": f"Conversation {number:06}: look at the parser."})
    turns.append({"role": "assistant", "content": "I looked at it."})
    question = {"role": "user", "content": f"Rename the function {number:06} and run the tests."}
    room = size - len(json.dumps(document)) - len(json.dumps(question)) - 40
    speaker = 0
    while room > min(200, turn):
        text = (WORDS * (turn // len(WORDS) + 1))[: min(turn, room - 60)]
        turns.append({"role": ("user", "assistant")[speaker % 2], "content": text})
        speaker += 1
        room -= len(json.dumps(turns[-1])) + 2
    if speaker % 2:
        turns.append({"role": "assistant", "content": "Done."})
    turns.append(question)
    return json.dumps(document, separators=(",", ":")).encode()


def request(url: str, payload: bytes, more: Iterable[tuple[str, str]] = ()) -> bytes:
    """The request with the headers that the openai SDK sends, and `more`."""
    parts = urlsplit(url)
    headers = {
        "Host": parts.netloc,
        "Accept-Encoding": "gzip, deflate",
        "Connection": "keep-alive",
        "Accept": "application/json",
        "Content-Type": "application/json",
        "Authorization": f"Bearer {CLIENT_KEY}",
        "User-Agent": "OpenAI/Python 3.54.0",
        "X-Stainless-Lang": "python",
        "X-Stainless-Package-Version": "3.54.0",
        "X-Stainless-OS": "Linux",
        "X-Stainless-Arch": "x64",
        "X-Stainless-Runtime": "CPython",
        "X-Stainless-Runtime-Version": "3.11.7",
        **dict(more),
        "Content-Length": str(len(payload)),
    }
    head = f"POST {parts.path} HTTP/1.1\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in headers.items()
    )
    return head.encode() + b"\r\n" + payload


@dataclass
class Sample:
    """What one run saw, in nanoseconds; `first` is the time to the first token of a stream."""

    total: list[int] = field(default_factory=list[int])
    first: list[int] = field(default_factory=list[int])
    relay: list[int] = field(default_factory=list[int])
    errors: list[str] = field(default_factory=list[str])
    wall_s: float = 0.0

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.total) / self.wall_s if self.wall_s else 0.0


class Client(asyncio.Protocol):
    """One connection that sends a request as soon as the last was answered."""

    def __init__(
        self, data: Sequence[bytes], end: bytes | None, turns: Iterator[int], sample: Sample
    ) -> None:
        self.data = data
        self.end = end
        self.stream = end is not None
        self.turns = turns
        self.sample = sample
        self.done = asyncio.get_running_loop().create_future()
        self.buffer = bytearray()
        self.sent = self.first = self.scanned = 0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self.transport.set_write_buffer_limits(high=8 << 20)
        self.next()

    def next(self) -> None:
        """Send one more, or stop when all turns are taken."""
        turn = next(self.turns, None)
        if turn is None:
            if not self.done.done():
                self.done.set_result(None)
            self.transport.close()
            return
        self.buffer.clear()
        self.first = self.scanned = 0
        self.sent = time.perf_counter_ns()
        self.transport.write(self.data[turn % len(self.data)])

    def data_received(self, data: bytes) -> None:
        """Note the times, see whether the answer is whole."""
        now = time.perf_counter_ns()
        self.buffer += data
        if self.stream:
            for match in CLOCK.finditer(self.buffer, self.scanned):
                self.sample.relay.append(now - int(match[1]))
                self.scanned = match.end()
                self.first = self.first or now
            if self.end and self.buffer.endswith(b"0\r\n\r\n"):
                self._finish(now, whole=self.end in self.buffer and self.first > 0)
        elif self._is_whole():
            head = self.buffer[: self.buffer.find(b"\r\n\r\n")].lower()
            # Of a packed answer only the length is looked at.
            whole = b'"finish_reason"' in self.buffer or b"\ncontent-encoding:" in head
            self._finish(now, whole=whole)

    def _is_whole(self) -> bool:
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self.buffer[:end]).lower()
        at = head.find(b"content-length:")
        if at < 0:
            return self.buffer.endswith(b"0\r\n\r\n")
        return len(self.buffer) >= end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])

    def _finish(self, now: int, *, whole: bool) -> None:
        if not whole or not self.buffer.startswith(b"HTTP/1.1 200"):
            self._fail(f"not a whole answer: {bytes(self.buffer[:200])!r}")
            return
        self.sample.total.append(now - self.sent)
        if self.stream:
            self.sample.first.append(self.first - self.sent)
        self.next()

    def _fail(self, why: str) -> None:
        self.sample.errors.append(why)
        if not self.done.done():
            self.done.set_result(None)
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self._fail(f"connection lost: {exc!r} after {bytes(self.buffer[:200])!r}")


async def run(
    url: str,
    data: Sequence[bytes],
    *,
    concurrency: int,
    count: int,
    end: bytes | None = None,
    within_s: float = RUN_S,
) -> Sample:
    """`count` requests over `concurrency` connections, the `data` in turns. `end` is what a stream ends with."""
    parts, sample, loop = urlsplit(url), Sample(), asyncio.get_running_loop()
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    turns = iter(range(count))
    gc.collect()
    gc.disable()
    began = time.perf_counter()
    clients: list[Client] = []
    try:
        for _ in range(concurrency):
            _, client = await loop.create_connection(lambda: Client(data, end, turns, sample), host, port)
            clients.append(client)
        _, late = await asyncio.wait([client.done for client in clients], timeout=within_s)
        if late:
            sample.errors.append(f"{len(late)} of {concurrency} connections not done within {within_s:.0f} s")
    finally:
        gc.enable()
        for client in clients:
            client.transport.abort()
    sample.wall_s = time.perf_counter() - began
    return sample


def main() -> None:
    """The command line."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("url")
    arguments.add_argument("--stream", action="store_true")
    arguments.add_argument("--concurrency", type=int, default=1)
    arguments.add_argument("--count", type=int, default=1000)
    arguments.add_argument("--size", type=int, default=1024)
    arguments.add_argument("--model", default="cloud")
    options = arguments.parse_args()
    data = request(options.url, body(options.size, stream=options.stream, model=options.model))
    sample = uvloop.run(
        run(
            options.url,
            [data],
            end=ENDS["chat"] if options.stream else None,
            concurrency=options.concurrency,
            count=options.count,
        )
    )
    for error in sample.errors[:3]:
        print(error)
    for name, values in (("total", sample.total), ("first", sample.first), ("relay", sample.relay)):
        if values:
            print(f"{name}: p50 {statistics.median(values) / 1000:.0f} us of {len(values)}")
    print(f"{sample.per_second:.0f} a second")


if __name__ == "__main__":
    main()
