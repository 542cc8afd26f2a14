"""What the chat templates of local models need. Pure: messages in, messages out; content may be an undecoded string.

Many templates refuse a system message anywhere but first (ggml-org/llama.cpp#27367), do not know `developer`, and
fail on an assistant message whose content is null.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec
from msgspec import Raw

Message = dict[str, Any]
IMAGE_PARTS = frozenset(("image_url", "input_image", "image"))
NO_VISION = "[an image was left out: this model cannot see images]"
SYSTEM_ROLES = ("system", "developer")


def adapt(messages: list[Message]) -> list[Message]:
    """The same conversation in the form every template takes.

    System messages at the start become one. A later one moves into the user turn beside it, as a reminder: put at the
    head it would change the prefix, and the server's prompt cache would be lost with every turn. Where no user turn is
    beside it, it becomes one, but never between a tool call and its result.
    """
    head, rest = _split_head(messages)
    adapted = [{"role": "system", "content": head}] if head else []
    waiting: list[str] = []
    for message in rest:
        role = message.get("role")
        if role in SYSTEM_ROLES:
            waiting += _reminders(text_of(message.get("content")))
            if waiting and adapted and adapted[-1].get("role") == "user":
                adapted[-1] = _with_text(adapted[-1], "\n\n".join(waiting), first=False)
                waiting.clear()
            continue
        if waiting and role == "user":
            adapted.append(_with_text(message, "\n\n".join(waiting), first=True))
            waiting.clear()
            continue
        if waiting and role != "tool":
            adapted.append({"role": "user", "content": "\n\n".join(waiting)})
            waiting.clear()
        adapted.append(message if message.get("content") is not None else {**message, "content": ""})
    if waiting:
        adapted.append({"role": "user", "content": "\n\n".join(waiting)})
    return adapted


def without_images(messages: list[Message]) -> list[Message]:
    """The same conversation for a model that cannot see: words in the place of each image.

    A server refuses an image for such a model, and goes on refusing at every later turn that repeats it.
    """
    return [_without_images(message) for message in messages]


def _without_images(message: Message) -> Message:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    parts = cast("list[Any]", content)
    if not any(map(is_image, parts)):
        return message
    return {
        **message,
        "content": [{"type": "text", "text": NO_VISION} if is_image(part) else part for part in parts],
    }


def is_image(part: Any) -> bool:
    """Whether a part of a message's content is an image."""
    return isinstance(part, dict) and cast("dict[str, Any]", part).get("type") in IMAGE_PARTS


def text_of(content: object) -> str:
    """The text of a message's content, whether a string or a list of parts."""
    content = _spelled(content)
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = cast("list[Any]", content)
    texts = [cast("dict[str, Any]", part).get("text") for part in parts if isinstance(part, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _spelled(content: object) -> object:
    return msgspec.json.decode(content) if isinstance(content, Raw) else content


def _split_head(messages: list[Message]) -> tuple[str, list[Message]]:
    count = 0
    while count < len(messages) and messages[count].get("role") in SYSTEM_ROLES:
        count += 1
    texts = (text_of(message.get("content")) for message in messages[:count])
    return "\n\n".join(text for text in texts if text), messages[count:]


def _reminders(text: str) -> list[str]:
    return [f"<system-reminder>\n{text}\n</system-reminder>"] if text.strip() else []


def _with_text(message: Message, text: str, *, first: bool) -> Message:
    """A user turn with `text` before or after what it holds."""
    content = _spelled(message.get("content"))
    if isinstance(content, list):
        parts = cast("list[Any]", content)
        part = {"type": "text", "text": text}
        return {**message, "content": [part, *parts] if first else [*parts, part]}
    texts = [text, content] if first else [content, text]
    return {**message, "content": "\n\n".join(piece for piece in texts if isinstance(piece, str) and piece)}
