"""A messages request said in chat completions. Nothing a chat model can use is lost."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Raw

from brainrouter.wire.ask import Ask, Said
from brainrouter.wire.chat_request import (
    ChatRequest,
    Message,
    Part,
    call_of,
    content_of,
    images_of,
    is_text,
    text_of,
    text_part,
)
from brainrouter.wire.json_body import decode_field, kind_of
from brainrouter.wire.messages_blocks import blocks_of, parts_of
from brainrouter.wire.messages_tools import tool_fields
from brainrouter.wire.tool_names import Tool, ToolNames
from brainrouter.wire.turns import NULL, TURNS, Block

# Both change with every request and mean nothing to a model: kept, they would void the server's prompt cache.
_BILLING = re.compile(r"\Ax-anthropic-billing-header:[^\n]*\n?")
_MARKER = re.compile(r"\s*<total_tokens>[^<]*</total_tokens>\s*")
_MARKER_AT_END = re.compile(r"\s*<total_tokens>[^<]*</total_tokens>\s*\Z")

_SAME = {"temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "max_tokens": "max_tokens"}
_TITLES = re.compile(r'"(?:title|url|stdout|tool_name)":\s*"([^"\\]{1,200})"')
_TOOL_NAMES = re.compile(r'"tool_name":\s*"([^"\\]{1,200})"')
_SPEAKERS = ("user", "assistant")
_TOOL_FAILED = "[the tool reported an error]"


class _Thinking(msgspec.Struct):
    type: str = ""


class _Format(msgspec.Struct):
    type: str = ""
    schema: Raw = NULL


class _Output(msgspec.Struct):
    effort: str | None = None
    format: _Format | None = None


_THINKING = msgspec.json.Decoder(_Thinking | None)
_OUTPUT = msgspec.json.Decoder(_Output | None)
_FORMAT = msgspec.json.Decoder(_Format | None)


def messages_to_chat(ask: Ask, *, as_came: bool = False) -> ChatRequest:
    """Translate a request that `parse_messages` accepted. Raises BadBody where a block is not what it says it is.

    `as_came` is for who only passes the messages on: content that is one string stays undecoded JSON (Raw).
    """
    body = ask.body if ask.fields is None else ask.fields
    names = ToolNames()
    conversation = _Conversation(names)
    system = _system(body)
    if system:
        conversation.messages.append({"role": "system", "content": system})
    for index, turn in enumerate(ask.turns or decode_field(body, "messages", TURNS)):
        if as_came and turn.role in _SPEAKERS and is_text(turn.content):
            conversation.messages.append({"role": turn.role, "content": turn.content})
        else:
            conversation.add(turn, f"messages[{index}].content")
    output = (decode_field(body, "output_config", _OUTPUT) if "output_config" in body else None) or _Output()
    thinking = decode_field(body, "thinking", _THINKING) if "thinking" in body else None
    return ChatRequest(
        "messages",
        conversation.messages,
        {**_sampling(body, output), **tool_fields(body, conversation.referenced, names)},
        names,
        thinks=thinking is not None and thinking.type != "disabled",
        effort=output.effort,
    )


def _system(body: dict[str, Raw]) -> str:
    """The system prompt as one text, without the lines that change at every request."""
    if "system" not in body:
        return ""
    texts = [block.text or "" for block in blocks_of(body["system"], "system")]
    kept = [_MARKER_AT_END.sub("", _BILLING.sub("", text)) for text in texts]
    return "\n\n".join(text for text in kept if text.strip())


def _sampling(body: dict[str, Raw], output: _Output) -> dict[str, Any]:
    fields: dict[str, Any] = {
        name: body[own] for own, name in _SAME.items() if own in body and kind_of(body[own]) == "number"
    }
    if "stop_sequences" in body and bytes(body["stop_sequences"]) not in (b"null", b"[]"):
        fields["stop"] = body["stop_sequences"]
    wanted = output.format
    if wanted is None and "output_format" in body:
        wanted = decode_field(body, "output_format", _FORMAT)
    if wanted is not None and wanted.type == "json_schema" and kind_of(wanted.schema) == "object":
        schema = {"name": "answer", "schema": wanted.schema, "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    return fields


class _Conversation:
    """Chat messages, built turn by turn. `referenced` are the deferred tools that were named so far, in order."""

    def __init__(self, names: ToolNames) -> None:
        self.messages: list[Message] = []
        self.referenced: dict[str, None] = {}
        self._names = names

    def add(self, turn: Said, path: str) -> None:
        """Append what a turn says; the place of a block at fault is told by `path`."""
        if turn.role == "assistant":
            self._assistant(blocks_of(turn.content, path), path)
        elif turn.role in ("system", "developer"):
            self._system(blocks_of(turn.content, path))
        else:
            self._user(blocks_of(turn.content, path), path)

    def _system(self, blocks: list[Block]) -> None:
        texts = [block.text for block in blocks if block.text and not _MARKER.fullmatch(block.text)]
        if texts:
            self.messages.append({"role": "system", "content": "\n\n".join(texts)})

    def _user(self, blocks: list[Block], path: str) -> None:
        """Results first, since they must follow the calls; then what was said beside them."""
        parts: list[Part] = []
        for block in blocks:
            if block.type == "tool_result":
                parts += self._result(block, path)
        for block in blocks:
            if block.type != "tool_result":
                parts += parts_of(block, path)
        if parts:
            self.messages.append({"role": "user", "content": content_of(parts)})

    def _result(self, block: Block, path: str) -> list[Part]:
        """Append a tool's result as text; its images are returned, for a chat tool message cannot hold any."""
        inner = blocks_of(block.content, f"{path}.content")
        self.referenced.update((one.tool_name, None) for one in inner if one.tool_name)
        parts = [part for one in inner for part in parts_of(one, path)]
        images, text = images_of(parts), text_of(parts)
        if block.is_error:
            text = f"{_TOOL_FAILED}\n{text}" if text else _TOOL_FAILED
        if images and not text:
            text = "[the result is the image below]"
        call_id = block.tool_use_id or ""
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": text})
        return [text_part(f"[image from the result of {call_id}]"), *images] if images else []

    def _assistant(self, blocks: list[Block], path: str) -> None:
        thoughts: list[str] = []
        texts: list[str] = []
        calls: list[dict[str, Any]] = []
        for block in blocks:
            match block.type:
                case "thinking":
                    thoughts.append(block.thinking or "")
                case "redacted_thinking":
                    pass  # sealed for its maker: nobody else can read it
                case "tool_use":
                    calls.append(self._call(block))
                case kind if kind.endswith(("_tool_use", "_tool_result")):
                    self._served(block, texts)
                case _:
                    texts += [part["text"] for part in parts_of(block, path) if part["type"] == "text"]
        said: Message = {"role": "assistant", "content": "\n\n".join(texts) or None}
        if any(thoughts):
            said["reasoning_content"] = "\n\n".join(filter(None, thoughts))
        if calls:
            said["tool_calls"] = calls
        if calls or texts or any(thoughts):
            self.messages.append(said)

    def _call(self, block: Block) -> dict[str, Any]:
        arguments = bytes(block.input).decode() if kind_of(block.input) != "null" else "{}"
        return call_of(block.id or "", self._names.outward(Tool(block.name or "")), arguments)

    def _served(self, block: Block, texts: list[str]) -> None:
        """What the vendor's servers did on their own: told as text, since no chat model can do it again."""
        if block.type.endswith("_tool_use"):
            texts.append(f"[{block.name} ran on the provider's side: {bytes(block.input).decode()}]")
            return
        told = bytes(block.content).decode()
        self.referenced.update(dict.fromkeys(_TOOL_NAMES.findall(told)))
        found = _TITLES.findall(told)
        texts.append(f"[its result: {', '.join(found[:20]) or 'not readable here'}]")
