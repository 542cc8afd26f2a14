"""Start an EmbeddedBackend on the real model, wait for its states, talk to it, watch its processes die."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import select
from collections.abc import Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from urllib.parse import urlsplit

from brainrouter.adapters.embedded import EmbeddedBackend
from tests.model_cache import shared_cache, shared_model

PROMPT = [{"role": "user", "content": "Say hello."}]


class Watched:
    def __init__(self, cache: Path, llama_swap: Path | None = None) -> None:
        self._changed = asyncio.Event()
        self.seen: list[tuple[str, str]] = []
        self.it = EmbeddedBackend(cache, llama_swap=llama_swap, on_change=self._note)

    def _note(self) -> None:
        status = self.it.status()
        self.seen.append((status["state"], status["detail"]))
        self._changed.set()

    async def until(self, holds: Callable[[dict], bool]) -> dict:
        while not holds(self.it.status()):
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 50)
        return self.it.status()


@asynccontextmanager
async def started(cache: Path | None = None, llama_swap: Path | None = None):
    if cache is None:
        shared_model()
    watched = Watched(cache or shared_cache(), llama_swap)
    await watched.it.start()
    try:
        yield watched
    finally:
        await watched.it.close()


def request(
    backend: EmbeddedBackend, path: str, body: dict | None, key: str | None = None
) -> tuple[int, str]:
    """One request to the backend, as any HTTP client would make it; the whole answer as text."""
    where = urlsplit(backend.base_url)
    headers = {"Authorization": f"Bearer {key or backend.api_key}", "Content-Type": "application/json"}
    with closing(http.client.HTTPConnection(where.hostname or "", where.port, timeout=50)) as connection:
        connection.request("GET" if body is None else "POST", path, body and json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def completion(backend: EmbeddedBackend) -> str:
    body = {"model": backend.model, "messages": PROMPT, "max_tokens": 8}
    status, text = request(backend, "/v1/chat/completions", body)
    assert status == 200, text
    answer = json.loads(text)
    assert answer["usage"]["completion_tokens"] > 0
    return answer["choices"][0]["message"]["content"]


def streamed(backend: EmbeddedBackend) -> str:
    body = {"model": backend.model, "messages": PROMPT, "max_tokens": 8, "stream": True}
    status, text = request(backend, "/v1/chat/completions", body)
    assert status == 200, text
    frames = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert frames[-1] == "[DONE]"
    chunks = [json.loads(frame) for frame in frames[:-1]]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])


def descendants(pid: int) -> list[int]:
    """The pids of everything that `pid` started, found in /proc."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def all_end(handles: list[int]) -> bool:
    """True when every process behind these pidfds ends within a generous time. Closes them."""
    ended = [bool(select.select([handle], [], [], 20)[0]) for handle in handles]
    for handle in handles:
        os.close(handle)
    return all(ended)


def handles_of(pids: list[int]) -> list[int]:
    return [os.pidfd_open(pid) for pid in pids]
