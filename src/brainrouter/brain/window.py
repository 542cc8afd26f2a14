"""Does it fit? By an estimate of a request's tokens from its bytes; SPARE covers what other tokenizers count. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from msgspec import Raw

from brainrouter.wire.token_estimate import rough_tokens

PER_MESSAGE = 6
SPARE = 1.1
ANSWER = 1024  # what an answer needs at least


@dataclass(frozen=True, slots=True)
class Fit:
    """`tokens` the prompt is thought to have; `window` the local model's, if known; `fits` with room for an answer."""

    tokens: int
    window: int | None
    fits: bool


def tokens_of(raw: bytes | Raw) -> int:
    """About how many tokens some JSON text makes."""
    return ceil(rough_tokens(raw))


def fit(tokens: int, window: int | None, *, room: float = 1.0) -> Fit:
    """Whether a prompt of about `tokens` fits. `room` below 1 keeps the rest of the window free for what follows."""
    if window is None:
        return Fit(tokens, None, True)
    answer = min(ANSWER, window // 4)
    return Fit(tokens, window, tokens * SPARE + answer <= window * room)
