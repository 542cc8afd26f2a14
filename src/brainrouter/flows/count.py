"""How many tokens a request has: by the local model's own tokenizer where that costs nothing, else an estimate."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from brainrouter.adapters.upstream import Upstream
from brainrouter.live import Live
from brainrouter.policy.failure import Failure
from brainrouter.policy.model_name import intent_of
from brainrouter.policy.outgoing import to_count
from brainrouter.policy.plan import Backends
from brainrouter.wire.ask import Ask
from brainrouter.wire.llama_swap import ready_models
from brainrouter.wire.token_estimate import estimate

COUNT_S = 2.0
# A burst of counts must not use up llama-swap's ten places a model, which generations need.
AT_ONCE = 2
_COUNT = "/chat/completions/input_tokens"


class _Counted(msgspec.Struct):
    input_tokens: int


_COUNTED = msgspec.json.Decoder(_Counted)


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """Where a local model's tokenizer is reached, and whether the model is up: it is never started for a count."""

    upstream: Upstream
    key: str | None
    path: Callable[[str], str]
    is_ready: Callable[[str], Awaitable[bool]]


def behind_llama_swap(upstream: Upstream, key: str | None) -> Tokenizer:
    """The tokenizers of llama-swap's models. `/running` is asked before each count: the live state may be seconds old,
    and a request for a model that was unloaded meanwhile would load it.
    """

    async def is_ready(model: str) -> bool:
        _, running = await upstream.get("~/running", key, COUNT_S)
        return model in ready_models(running)

    return Tokenizer(upstream, key, _swapped, is_ready)


def of_embedded(upstream: Upstream, key: str | None, status: Callable[[], dict[str, Any]]) -> Tokenizer:
    """The tokenizer of the embedded model, which runs alone or behind llama-swap and is never unloaded."""

    async def is_ready(_: str) -> bool:
        return status()["state"] == "ready"

    def path(model: str) -> str:
        return _COUNT if status()["kind"] == "llama.cpp" else _swapped(model)

    return Tokenizer(upstream, key, path, is_ready)


def _swapped(model: str) -> str:
    return f"~/upstream/{quote(model, safe='/:')}/v1{_COUNT}"


class TokenCount:
    """Counts. Never raises, and never takes longer than COUNT_S."""

    def __init__(self, live: Live, backends: Callable[[], Backends], tokenizer: Tokenizer | None) -> None:
        self._live = live
        self._backends = backends
        self._tokenizer = tokenizer
        self._places = asyncio.Semaphore(AT_ONCE)

    async def __call__(self, ask: Ask) -> int:
        """The tokens of a request that was read."""
        counted = await self._exactly(ask)
        return estimate(ask) if counted is None else counted

    async def _exactly(self, ask: Ask) -> int | None:
        intent = intent_of(ask.model, self._live.local_names)
        model = intent.local_model or self._backends().local_model
        tokenizer = self._tokenizer
        if tokenizer is None or model is None or intent.mode == "cloud":
            return None
        try:
            async with asyncio.timeout(COUNT_S), self._places:
                if not await tokenizer.is_ready(model):
                    return None
                body = to_count(ask, model)
                status, answer = await tokenizer.upstream.post(
                    tokenizer.path(model), tokenizer.key, body, COUNT_S
                )
            return _COUNTED.decode(answer).input_tokens if status == 200 else None
        except (Failure, TimeoutError, ValueError, RecursionError):
            return None
