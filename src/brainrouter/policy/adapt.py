"""What the chat templates of local models need. Pure: messages in, messages out.

Many templates refuse a system message anywhere but first (ggml-org/llama.cpp#27367), do not know `developer`, and
fail on an assistant message whose content is null.
"""

from __future__ import annotations

from typing import Any, cast

Message = dict[str, Any]
SYSTEM_ROLES = ("system", "developer")


def adapt(messages: list[Message]) -> list[Message]:
    """The same conversation in the form every template takes.

    System messages at the start become one. A later one moves into the user turn beside it, as a reminder: put at the
    head it would change the prefix, and the server's prompt cache would be lost with every turn.
    """
    head, rest = _split_head(messages)
    adapted = [{"role": "system", "content": head}] if head else []
    for message in rest:
        if message.get("role") in SYSTEM_ROLES:
            _remind(adapted, text_of(message.get("content")))
        else:
            adapted.append(_without_null_content(message))
    return adapted


def text_of(content: object) -> str:
    """The text of a message's content, whether a string or a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = cast("list[Any]", content)
    texts = [cast("dict[str, Any]", part).get("text") for part in parts if isinstance(part, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


def with_system(messages: list[Message], text: str) -> list[Message]:
    """The adapted conversation with `text` as its system message."""
    rest = messages[1:] if messages and messages[0].get("role") == "system" else messages
    return [{"role": "system", "content": text}, *rest]


def system_of(messages: list[Message]) -> str:
    """The system text of an adapted conversation, or an empty string."""
    return text_of(messages[0].get("content")) if messages and messages[0].get("role") == "system" else ""


def _split_head(messages: list[Message]) -> tuple[str, list[Message]]:
    count = 0
    while count < len(messages) and messages[count].get("role") in SYSTEM_ROLES:
        count += 1
    texts = (text_of(message.get("content")) for message in messages[:count])
    return "\n\n".join(text for text in texts if text), messages[count:]


def _remind(adapted: list[Message], text: str) -> None:
    if not text.strip():
        return
    reminder = f"<system-reminder>\n{text}\n</system-reminder>"
    last = adapted[-1] if adapted else None
    if last is None or last.get("role") != "user":
        adapted.append({"role": "user", "content": reminder})
        return
    content = last.get("content")
    if isinstance(content, list):
        parts = [*cast("list[Any]", content), {"type": "text", "text": reminder}]
        adapted[-1] = {**last, "content": parts}
    else:
        adapted[-1] = {**last, "content": f"{content}\n\n{reminder}" if content else reminder}


def _without_null_content(message: Message) -> Message:
    if message.get("content") is None:
        return {**message, "content": ""}
    return message
