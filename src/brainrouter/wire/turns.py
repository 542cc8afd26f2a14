"""The messages of the messages dialect as they are read: turns, and the blocks they are made of."""

from __future__ import annotations

import msgspec
from msgspec import Raw

NULL = Raw(b"null")


class Turn(msgspec.Struct):
    """One message. `content` is undecoded: a string, a list of blocks, or null."""

    role: str = ""
    content: Raw = NULL


class Source(msgspec.Struct):
    """Where an image or a document is: in base64, at a URL, as text, as blocks, or in the vendor's file store."""

    type: str = ""
    media_type: str = ""
    data: str = ""
    url: str = ""
    file_id: str = ""
    content: Raw = NULL


class Block(msgspec.Struct):
    """One content block of any type: the fields that its type does not have keep their defaults."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = NULL
    tool_use_id: str | None = None
    content: Raw = NULL
    is_error: bool | None = None
    source: Raw = NULL
    title: str | None = None
    tool_name: str | None = None


TURNS = msgspec.json.Decoder(list[Turn])
BLOCKS = msgspec.json.Decoder(list[Block])
SOURCE = msgspec.json.Decoder(Source | str | None)
TEXT = msgspec.json.Decoder(str)
