"""A request of another dialect, said in chat completions: the hub every translation goes through."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from brainrouter.wire.ask import Dialect
from brainrouter.wire.json_body import TEXT, BadBody, kind_of, opening
from brainrouter.wire.tool_names import ToolNames

_EMPTY = len(b'""')

Message = dict[str, Any]
Part = dict[str, Any]


class CannotTranslate(BadBody):
    """A request that chat completions cannot say, though its own dialect can."""


class ChatRequest(msgspec.Struct):
    """What to send, and what must be remembered to answer in the caller's dialect.

    `fields` are the chat body's, without model, messages and stream. `thinks` is whether the caller wants to see the
    model think (None: it did not say); `effort` is how hard it shall. `echo` holds fields that the answer repeats.
    """

    dialect: Dialect
    messages: list[Message]
    fields: dict[str, Any]
    names: ToolNames
    thinks: bool | None = None
    effort: str | None = None
    echo: dict[str, Raw] = {}


def is_text(content: Raw) -> bool:
    """Whether undecoded content is a string that says something."""
    return len(memoryview(content)) > _EMPTY and opening(content) == TEXT


def text_part(text: str) -> Part:
    """A text part of a chat message."""
    return {"type": "text", "text": text}


def image_part(url: str, detail: str | None = None) -> Part:
    """An image part of a chat message; `url` may be a data URL."""
    return {"type": "image_url", "image_url": {"url": url, **({"detail": detail} if detail else {})}}


def content_of(parts: list[Part], glue: str = "\n\n") -> str | list[Part]:
    """Parts as a message's content: one string where all are text, since every template takes that."""
    if all(part["type"] == "text" for part in parts):
        return glue.join(part["text"] for part in parts)
    return parts


def text_of(parts: list[Part]) -> str:
    """The text among parts."""
    return "\n".join(part["text"] for part in parts if part["type"] == "text")


def images_of(parts: list[Part]) -> list[Part]:
    """The images among parts."""
    return [part for part in parts if part["type"] == "image_url"]


def call_of(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    """One tool call of an assistant message."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def function_of(name: str, description: str | None, parameters: Raw | dict[str, Any]) -> dict[str, Any]:
    """One tool of a chat request; one without a schema takes no arguments."""
    function: dict[str, Any] = {"name": name}
    if description:
        function["description"] = description
    told = isinstance(parameters, dict) or kind_of(parameters) == "object"
    function["parameters"] = parameters if told else {"type": "object", "properties": {}}
    return {"type": "function", "function": function}
