"""The oldest tool results left out, for a conversation that is too long and that nobody else can take. Pure."""

from __future__ import annotations

import math
from typing import Any, cast

import msgspec

from brainrouter.policy.adapt import Message, is_image, text_of, without_images
from brainrouter.policy.lean.deferral import is_search
from brainrouter.wire.token_estimate import IMAGE_TOKENS, text_tokens

# It is cut by quarters of the window, so that the next turns are cut at the same place and their prefix still stands.
STEPS = 4
ANSWER = 1_024
LATEST = 2  # results that are never cut: what the model is working on
MARKER = "[an old result of {} characters was left out here: the window is full. Call the tool again if you need it.]"


def foreseen(messages: list[Message], window: int, beside: float) -> tuple[list[Message], int]:
    """The conversation as it is where it seems to fit, else trimmed, and how many results were left out.

    By estimate: where trimming would not be enough nothing is left out, and the server has the last word. `beside` are
    the tokens of what is sent beside the messages.
    """
    asked = math.ceil(_weight(messages) + beside)
    found = trimmed(messages, asked, window, beside) if asked >= window else None
    return found or (messages, 0)


def trimmed(
    messages: list[Message], asked: int, fits: int, beside: float = 0.0
) -> tuple[list[Message], int] | None:
    """The conversation made to fit, and how many results were left out; None where that is not enough.

    `asked` and `fits` are tokens as the server counted them, `beside` what of them are not messages. Only the content
    of tool messages is cut: every call keeps its answer, and nothing that a person wrote is touched.
    """
    scale = asked / max(1.0, _weight(messages) + beside)
    room = fits - min(ANSWER, fits // STEPS)
    step = max(1, fits // STEPS)
    goal = min(math.ceil((asked - room) / step) * step, asked)
    results = [
        at for at, message in enumerate(messages) if message.get("role") == "tool" and not _ours(message)
    ]
    cut: dict[int, Message] = {}
    gained = 0.0
    for at in results[:-LATEST]:
        if gained >= goal:
            break
        content = text_of(messages[at].get("content"))
        marker = MARKER.format(len(content))
        gain = text_tokens(content.encode("utf-8", "replace")) - text_tokens(marker.encode())
        if gain > 0:
            cut[at] = {**messages[at], "content": marker}
            gained += gain * scale
    if not cut or gained < asked - room:
        return None
    return [cut.get(at, message) for at, message in enumerate(messages)], len(cut)


def _weight(messages: list[Message]) -> float:
    shown = without_images(messages)
    images = sum(map(_images, messages))
    return text_tokens(msgspec.json.encode(shown)) + IMAGE_TOKENS * images


def _images(message: Message) -> int:
    content = message.get("content")
    return sum(map(is_image, cast("list[Any]", content))) if isinstance(content, list) else 0


def _ours(message: Message) -> bool:
    """What a search of our own found is how the model knows to call its tools."""
    return is_search(message.get("tool_call_id"))
