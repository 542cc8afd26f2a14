"""What no table of speeds shows: whether a target lets the upstream go with its client, and what it holds unread."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from urllib.parse import urlsplit

from bench import load
from bench.processes import Target

WAIT_S = 5.0
UNREAD_MB = 200
CHUNKS_OF_UNREAD = 800_000  # of 250 bytes


def behaviour(target: Target, upstream_port: int) -> dict[str, float | None]:
    """Milliseconds until the upstream was closed, None for never; megabytes that 200 MB unread cost."""
    try:
        return {"closed_ms": _closed_ms(target, upstream_port), "held_mb": _held_mb(target, upstream_port)}
    except OSError:
        return {}


def _asked(target: Target, upstream_port: int, chunks: int, pace_us: int) -> socket.socket:
    """A connection on which a stream of that pace has begun."""
    urllib.request.urlopen(f"http://127.0.0.1:{upstream_port}/pace/{chunks}/{pace_us}", timeout=10).close()
    body = load.body(1_000, stream=True, model=target.model)
    at = urlsplit(target.url)
    client = socket.create_connection((at.hostname or "127.0.0.1", at.port or 80), timeout=30)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    client.sendall(load.request(target.url, body, target.headers))
    seen = b""
    while load.CLOCK.search(seen) is None and len(seen) < 1 << 20:
        piece = client.recv(1 << 12)
        if not piece:
            raise ConnectionError(f"no stream: {seen[:200]!r}")
        seen += piece
    return client


def _closed_ms(target: Target, upstream_port: int) -> float | None:
    left = time.perf_counter_ns()
    with _asked(target, upstream_port, 10_000, 20_000):
        left = time.perf_counter_ns()
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        with urllib.request.urlopen(f"http://127.0.0.1:{upstream_port}/left", timeout=10) as reply:
            closed = json.loads(reply.read())["left_ns"]
        if closed > left:
            return round((closed - left) / 1e6, 1)
        time.sleep(0.01)
    return None


def _held_mb(target: Target, upstream_port: int) -> float | None:
    """More memory five seconds into a stream of 200 MB of which nothing is read."""
    if not target.pids:
        return None
    before = target.rss_mb()
    most = before
    with _asked(target, upstream_port, CHUNKS_OF_UNREAD, 0):
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            most = max(most, target.rss_mb())
            time.sleep(0.1)
    return round(most - before, 1)
