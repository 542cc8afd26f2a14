"""The input items of the responses dialect as they are read."""

from __future__ import annotations

import msgspec
from msgspec import Raw

NULL = Raw(b"null")


class Item(msgspec.Struct):
    """One input item of any type: the fields that its type does not have keep their defaults."""

    type: str | None = None
    role: str | None = None
    content: Raw = NULL
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: Raw = NULL
    input: Raw = NULL
    output: Raw = NULL
    action: Raw = NULL
    summary: Raw = NULL
    encrypted_content: str | None = None
    tools: Raw = NULL


class ContentPart(msgspec.Struct):
    """One part of an item's content or of a tool's output."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    image_url: Raw = NULL
    detail: str | None = None
    filename: str | None = None
    file_url: str | None = None
    file_id: str | None = None


class ImageUrl(msgspec.Struct):
    """The chat dialect's way to give an image, which some clients use here too."""

    url: str = ""


ITEMS = msgspec.json.Decoder(list[Item])
PARTS = msgspec.json.Decoder(list[ContentPart])
IMAGE = msgspec.json.Decoder(str | ImageUrl | None)
TEXT = msgspec.json.Decoder(str)
