"""Blocks of the messages dialect as parts of chat messages; honest words for what a chat model cannot read."""

from __future__ import annotations

from msgspec import Raw

from brainrouter.wire.chat_request import Part, image_part, text_part
from brainrouter.wire.json_body import decode_field, kind_of
from brainrouter.wire.turns import BLOCKS, SOURCE, TEXT, Block, Source


def blocks_of(content: Raw, path: str) -> list[Block]:
    """A message's or a tool result's content as blocks. Raises BadBody naming the place."""
    kind = kind_of(content)
    if kind == "string":
        return [Block("text", text=decode_field({path: content}, path, TEXT))]
    return decode_field({path: content}, path, BLOCKS) if kind == "array" else []


def parts_of(block: Block, path: str) -> list[Part]:
    """What the model can read of a block that holds content: text, image, document, search result, tool reference."""
    match block.type:
        case "text":
            return [text_part(block.text)] if block.text else []
        case "image":
            return _image(_source(block, path))
        case "document":
            return _document(block, path)
        case "search_result":
            found = _nested(block.content, path)
            head = f"[search result: {block.title or 'untitled'}, {_address(block, path)}]"
            return [text_part(head), *found]
        case "tool_reference":
            return [text_part(f"The tool {block.tool_name} can be called now.")] if block.tool_name else []
        case _:
            return [
                text_part(f"[a block of type {block.type or 'none'} was left out: this model cannot read it]")
            ]


def _nested(content: Raw, path: str) -> list[Part]:
    return [part for inner in blocks_of(content, path) for part in parts_of(inner, path)]


def _source(block: Block, path: str) -> Source:
    found = decode_field({path: block.source}, f"{path}", SOURCE)
    return found if isinstance(found, Source) else Source()


def _address(block: Block, path: str) -> str:
    found = decode_field({path: block.source}, path, SOURCE)
    return found if isinstance(found, str) else "no address"


def _image(source: Source) -> list[Part]:
    if source.type == "base64" and source.data:
        return [image_part(f"data:{source.media_type or 'image/png'};base64,{source.data}")]
    if source.type == "url" and source.url:
        return [image_part(source.url)]
    return [
        text_part(
            f"[an image was left out: it is in a file store that this model cannot reach ({source.file_id})]"
        )
    ]


def _document(block: Block, path: str) -> list[Part]:
    source = _source(block, path)
    title = f'"{block.title}"' if block.title else "without a title"
    if source.type == "text":
        return [text_part(f"[document {title}]\n{source.data}")]
    if source.type == "content":
        return [text_part(f"[document {title}]"), *_nested(source.content, path)]
    where = source.url or source.file_id or source.media_type or "unknown"
    return [text_part(f"[document {title} ({where}) was left out: this model reads only text]")]
