"""How many tokens a text has, guessed from its characters, for when no tokenizer can be asked.

Fitted to the embedded model's tokenizer on 165 pieces of code, prose, JSON and tool schemas: off by 7 % on average
and by less than 14 % in nine of ten (characters divided by a constant: 18 %). docs/protocols.md says how.
"""

from __future__ import annotations

import math
from typing import Any, cast

import msgspec
import numpy as np

from brainrouter.wire.ask import Ask
from brainrouter.wire.chat_request import ChatRequest
from brainrouter.wire.json_body import BadBody
from brainrouter.wire.messages_to_chat import messages_to_chat

# Bytes of each kind, and the tokens that one of them stands for. Other bytes (spaces) count as nothing.
_WEIGHTS: tuple[tuple[bytes, float], ...] = (
    (bytes(range(0x61, 0x7B)), 0.222),
    (bytes(range(0x41, 0x5B)), 0.639),
    (b"0123456789", 1.677),
    (bytes(byte for byte in range(0x21, 0x7F) if not chr(byte).isalnum()), 0.568),
    (b"\n", 1.385),
    (bytes(range(0x80, 0x100)), 0.912),
)
_WEIGHT_OF = np.zeros(256)
for _kind, _weight in _WEIGHTS:
    _WEIGHT_OF[list(_kind)] = _weight
_SAMPLED, _SAMPLE = 16 * 1024, 64  # bytes of a long text that are looked at, and of each sample
MESSAGE_TOKENS = 4
IMAGE_TOKENS = 1_500  # what Anthropic counts for a large one


def estimate(ask: Ask) -> int:
    """The tokens of a messages request, images included. Never raises."""
    try:
        request = messages_to_chat(ask)
    except (BadBody, RecursionError):
        return max(1, math.ceil(text_tokens(ask.raw)))
    pieces: list[str] = []
    images = sum(_collect(message, pieces) for message in request.messages)
    tools = msgspec.json.encode(_tools(request))
    text = "\n".join(pieces).encode("utf-8", "replace")
    fixed = MESSAGE_TOKENS * len(request.messages) + IMAGE_TOKENS * images
    return max(1, math.ceil(text_tokens(text) + text_tokens(tools) + fixed))


def text_tokens(text: bytes) -> float:
    """The tokens of UTF-8 text. A histogram of its bytes is the fastest way to count."""
    return float(np.bincount(np.frombuffer(text, np.uint8), minlength=256) @ _WEIGHT_OF) if text else 0.0


def rough_tokens(text: bytes | msgspec.Raw) -> float:
    """The same, of a long text from samples of it spread evenly.

    Measured: within 2 % of `text_tokens` in nine of ten, 4 % at most; 600 KB take 24 us in place of 690.
    """
    size = len(memoryview(text))
    if size <= 2 * _SAMPLED:
        return text_tokens(bytes(text))
    step = size * _SAMPLE // _SAMPLED
    rows = size // step
    spread = np.frombuffer(text, np.uint8)[: rows * step].reshape(rows, step)[:, :_SAMPLE].ravel()
    return float(np.bincount(spread, minlength=256) @ _WEIGHT_OF) * size / spread.size


def _collect(message: dict[str, Any], pieces: list[str]) -> int:
    """Put a message's text into `pieces`; returns how many images it has."""
    images = 0
    content = message.get("content")
    if isinstance(content, str):
        pieces.append(content)
    elif isinstance(content, list):
        for part in cast("list[dict[str, Any]]", content):
            if part["type"] == "text":
                pieces.append(part["text"])
            else:
                images += 1
    pieces.append(message.get("reasoning_content", ""))
    for call in message.get("tool_calls", ()):
        pieces += (call["function"]["name"], call["function"]["arguments"])
    return images


def _tools(request: ChatRequest) -> list[Any]:
    return [tool["function"] for tool in request.fields.get("tools", ())]
