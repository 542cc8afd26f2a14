"""Prompts of a session before a real llama.cpp server with the embedded model: what it read anew, and how long it took."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from brainrouter.adapters.child_process import free_port
from brainrouter.adapters.embedded_server import KEY_VARIABLE, server_command
from tests.daemon import eventually
from tests.model_cache import shared_model

WINDOW = 8_192
KEY = "bench"
WAIT_S = 900


@dataclass
class Measured:
    """Tokens of the first turn by the server's count, seconds to the first token turn by turn, and what was cached."""

    before_tokens: int = 0
    after_tokens: int = 0
    before_s: list[float] = field(default_factory=list[float])
    after_s: list[float] = field(default_factory=list[float])
    turns: int = 0
    cached: int = 0
    read: int = 0

    @property
    def cached_share(self) -> float:
        """Of the prompt tokens from the second turn on, those that the server had already."""
        return self.cached / max(1, self.cached + self.read)


def measured(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Measured:
    """Ask every turn of both sessions in order; what is beyond the window is left out.

    The model's template shows it no tools, so they are left out here as well.
    """
    found = Measured()
    with _server() as port:
        for turn, body in enumerate(after):
            told, seconds = _ask(port, body)
            timings = told["timings"]
            if turn == 0:
                found.after_tokens = timings["cache_n"] + timings["prompt_n"]
            else:
                found.cached += timings["cache_n"]
                found.read += timings["prompt_n"]
            found.after_s.append(seconds)
            found.turns = turn + 1
        for turn, body in enumerate(before):
            told, seconds = _ask(port, body)
            if "timings" not in told:
                break
            if turn == 0:
                found.before_tokens = told["timings"]["cache_n"] + told["timings"]["prompt_n"]
            found.before_s.append(seconds)
    return found


def _ask(port: int, body: dict[str, Any]) -> tuple[dict[str, Any], float]:
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    wanted = json.dumps({"model": "bench", **body, "max_tokens": 1, "temperature": 0, "cache_prompt": True})
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    connection.request("POST", "/v1/chat/completions", wanted, headers)
    told = json.loads(connection.getresponse().read())
    connection.close()
    return told, time.monotonic() - began


@contextmanager
def _server() -> Iterator[int]:
    port = free_port()
    # One thread: on a machine with other work, two wait for each other at every layer.
    command = [
        "taskset",
        "-c",
        "0",
        *server_command(shared_model(), "bench", WINDOW),
        "--port",
        str(port),
        "--parent",
        str(os.getpid()),
    ]
    with subprocess.Popen(command, env={**os.environ, KEY_VARIABLE: KEY}, stderr=subprocess.DEVNULL) as child:
        try:
            eventually(lambda: _up(port), 60, "the server")
            yield port
        finally:
            child.kill()


def _up(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
