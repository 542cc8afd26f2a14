"""What is already running on this machine: `up` uses it instead of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from brainrouter.adapters.upstream import Upstream
from brainrouter.policy.failure import Failure

PROBE_S = 1.0
# Manifest listens on 3001 run bare and on 2099 in its image; llama-swap on 8081 as deployed here and 8080 by default.
MANIFEST_URLS = ("http://localhost:3001/v1", "http://localhost:2099/v1")
LLAMA_SWAP_URLS = ("http://localhost:8081/v1", "http://localhost:8080/v1")


Reach = Callable[[str], Upstream]


@dataclass(frozen=True, slots=True)
class Found:
    """The base URLs of what answered, or None."""

    manifest: str | None
    llama_swap: str | None


async def discover(reach: Reach, *, manifest: bool, llama_swap: bool) -> Found:
    """Ask the usual ports, for the sides that are wanted."""
    return Found(
        await _first(reach, MANIFEST_URLS, "~/api/v1/health", "status") if manifest else None,
        await _first(reach, LLAMA_SWAP_URLS, "~/api/version", "version") if llama_swap else None,
    )


async def _first(reach: Reach, urls: tuple[str, ...], path: str, sign: str) -> str | None:
    for url in urls:
        try:
            status, body = await reach(url).get(path, None, PROBE_S)
            answer = msgspec.json.decode(body)
        except (Failure, msgspec.DecodeError):
            continue
        if status in (200, 503) and isinstance(answer, dict) and sign in answer:
            return url
    return None
