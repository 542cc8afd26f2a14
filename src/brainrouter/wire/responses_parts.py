"""Content of the responses dialect as parts of chat messages; honest words for what a chat model cannot read."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from brainrouter.wire.chat_request import Part, image_part, text_part
from brainrouter.wire.items import IMAGE, PARTS, TEXT, ContentPart
from brainrouter.wire.json_body import decode_field, kind_of


def parts_of(content: Raw, path: str) -> list[Part]:
    """Content (a string, a list of parts, or any other JSON value) as chat parts. Raises BadBody naming the place."""
    kind = kind_of(content)
    if kind == "string":
        text = decode_field({path: content}, path, TEXT)
        return [text_part(text)] if text else []
    if kind == "array":
        return [part for one in decode_field({path: content}, path, PARTS) for part in _parts(one, path)]
    return [] if kind in ("null", "nothing") else [text_part(bytes(content).decode())]


def text_in(value: Raw, path: str) -> str:
    """A string as it is; any other JSON value as its JSON text; nothing for null."""
    if kind_of(value) == "string":
        return decode_field({path: value}, path, TEXT)
    return "" if kind_of(value) in ("null", "nothing") else bytes(value).decode()


def reasoning_in(value: Raw) -> str:
    """The text of a reasoning item's `content` or `summary`; nothing when it has another shape."""
    try:
        return "\n".join(part.text for part in PARTS.decode(value) if part.text)
    except (msgspec.DecodeError, RecursionError):
        return ""


def _parts(part: ContentPart, path: str) -> list[Part]:
    if part.text is not None:
        return [text_part(part.text)] if part.text else []
    if part.refusal is not None:
        return [text_part(part.refusal)]
    if part.type in ("input_image", "image_url"):
        found = decode_field({path: part.image_url}, path, IMAGE)
        url = found if isinstance(found, str) else found.url if found else ""
        if url:
            return [image_part(url, part.detail if part.detail != "auto" else None)]
        return [
            text_part(
                f"[an image was left out: it is in a file store that this model cannot reach ({part.file_id})]"
            )
        ]
    if part.type == "input_file":
        where = part.filename or part.file_url or part.file_id or "without a name"
        return [text_part(f"[file {where} was left out: this model reads only text]")]
    return [text_part(f"[content of type {part.type or 'none'} was left out: this model cannot read it]")]
