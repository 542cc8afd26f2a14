"""Does it fit? An estimate of a request's tokens from its bytes, without a tokenizer. Pure; microseconds per 100 KB.

The weights by kind of character are rules of thumb for prose, code and tool schemas, not yet fitted to a tokenizer;
SPARE covers what tokenizers count differently.
"""

from __future__ import annotations

from dataclasses import dataclass

_LETTERS = bytes(range(65, 91)) + bytes(range(97, 123))
_DIGITS = b"0123456789"
_SPACES = b" "
_HIGH = bytes(range(128, 256))
PER_LETTER, PER_DIGIT, PER_SPACE, PER_HIGH, PER_OTHER = 0.207, 0.95, 0.06, 0.45, 0.52
PER_MESSAGE = 6
SPARE = 1.1
ANSWER = 1024  # what an answer needs at least


@dataclass(frozen=True, slots=True)
class Fit:
    """`tokens` the prompt is thought to have; `window` the local model's, if known; `fits` with room for an answer."""

    tokens: int
    window: int | None
    fits: bool


def tokens_of(raw: bytes) -> int:
    """About how many tokens some JSON text makes."""
    size = len(raw)
    letters = size - len(raw.translate(None, _LETTERS))
    digits = size - len(raw.translate(None, _DIGITS))
    spaces = raw.count(_SPACES)
    high = 0 if raw.isascii() else size - len(raw.translate(None, _HIGH))
    other = size - letters - digits - spaces - high
    return int(
        letters * PER_LETTER + digits * PER_DIGIT + spaces * PER_SPACE + high * PER_HIGH + other * PER_OTHER
    )


def fit(tokens: int, window: int | None, *, room: float = 1.0) -> Fit:
    """Whether a prompt of about `tokens` fits. `room` below 1 keeps the rest of the window free for what follows."""
    if window is None:
        return Fit(tokens, None, True)
    answer = min(ANSWER, window // 4)
    return Fit(tokens, window, tokens * SPARE + answer <= window * room)
