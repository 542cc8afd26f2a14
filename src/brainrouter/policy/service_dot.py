"""How a service looks from afar: one of five words for what its parts say of themselves. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

Dot = Literal["healthy", "idle", "loading", "unhealthy", "off"]

_WORDS: dict[str, Dot] = {
    "healthy": "healthy",
    "ready": "healthy",
    "unknown": "loading",
    "loading": "loading",
    "fetching": "loading",
    "starting": "loading",
    "restarting": "loading",
    "stopped": "idle",
    "idle": "idle",
    "missing": "off",
    "off": "off",
    "too_slow": "off",
}


def dot_of(part: dict[str, Any]) -> Dot:
    """The word for one part of /health. A state that nobody knows is a trouble that nobody foresaw."""
    return _WORDS.get(str(part.get("state")), "unhealthy")


def cloud_dot(part: dict[str, Any], breaker: str) -> Dot:
    """The cloud's word; `breaker` is its phase. A cloud that rests is not healthy, whatever its health route says."""
    dot = dot_of(part)
    if dot != "healthy" or breaker == "closed":
        return dot
    return "loading" if breaker == "half_open" else "unhealthy"


def local_dot(part: dict[str, Any], model_states: Collection[str]) -> Dot:
    """The local side's word: without a model in memory it is idle, and the first request waits for the load."""
    dot = dot_of(part)
    if dot != "healthy":
        return dot
    if "starting" in model_states:
        return "loading"
    return "healthy" if "ready" in model_states or part.get("embedded") else "idle"
