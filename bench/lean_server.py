"""A session before llama.cpp's real server with the embedded model: what it read anew, and how long it took.

The model's own chat template shows it no tools, so the server is given one that does, in the way most models' do: as
JSON at the head of the system prompt.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from brainrouter.adapters.child_process import free_port
from brainrouter.adapters.embedded_server import KEY_VARIABLE
from tests.daemon import eventually
from tests.model_cache import shared_model

WINDOW = 8_192
KEY = "bench"
WAIT_S = 1_800
TEMPLATE = """\
{%- set head = messages[0].content if messages[0].role == 'system' else '' -%}
<|im_start|>system
{% for tool in tools or [] %}{{ tool | tojson }}
{% endfor %}{{ head }}<|im_end|>
{% for message in messages %}{% if not (loop.first and message.role == 'system') -%}
<|im_start|>{{ message.role }}
{{ message.content or '' }}{% for call in message.tool_calls or [] %}
<tool_call>{{ call.function.name }} {{ call.function.arguments | tojson }}</tool_call>{% endfor %}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


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
    """Ask every turn of both sessions in order, each up to the first that the window does not hold."""
    found = Measured()
    with _server() as port:
        for turn, body in enumerate(after):
            told, seconds = _ask(port, body)
            if "timings" not in told:
                break
            timings = told["timings"]
            if turn == 0:
                found.after_tokens = timings["cache_n"] + timings["prompt_n"]
            else:
                found.cached += timings["cache_n"]
                found.read += timings["prompt_n"]
            found.after_s.append(seconds)
            found.turns = turn + 1
    if not before:
        return found
    with _server() as port:  # a fresh one: the two may begin alike
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
    command = ["nice", sys.executable, "-m", "bench.lean_server", str(shared_model()), str(port)]
    with subprocess.Popen(command, env={**os.environ, KEY_VARIABLE: KEY}, stderr=subprocess.DEVNULL) as child:
        try:
            eventually(lambda: _up(port), 60, "the server")
            yield port
        finally:
            child.kill()


def serve(model: str, port: int) -> None:
    """Serve `model` until this process is ended. One thread: with other work about, two wait for each other."""
    library: Any = import_module("xllamacpp")
    wanted = library.CommonParams()
    wanted.model.path, wanted.model_alias = model, {"bench"}
    wanted.hostnames, wanted.port, wanted.api_keys = ["127.0.0.1"], port, [os.environ[KEY_VARIABLE]]
    wanted.n_parallel, wanted.n_ctx = 1, WINDOW
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = 1
    wanted.use_jinja, wanted.chat_template = True, TEMPLATE
    wanted.ui, wanted.verbosity = False, 1
    server = library.Server(wanted)
    while server:
        signal.pause()


def _up(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
