"""A responses request said in chat completions: the stateless form that Codex uses."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from brainrouter.wire.ask import Ask
from brainrouter.wire.chat_request import (
    CannotTranslate,
    ChatRequest,
    Message,
    Part,
    call_of,
    content_of,
    images_of,
    text_of,
    text_part,
)
from brainrouter.wire.items import ITEMS, NULL, Item
from brainrouter.wire.json_body import decode_field, kind_of
from brainrouter.wire.responses_parts import parts_of, reasoning_in, text_in
from brainrouter.wire.responses_tools import FREE_TEXT, SEARCH, Toolbox
from brainrouter.wire.sealed import is_ours, unsealed
from brainrouter.wire.tool_names import Tool, ToolNames

_SAME = {"temperature": "temperature", "top_p": "top_p", "max_output_tokens": "max_tokens"}
# What only a server that keeps conversations can do.
_STATEFUL = ("previous_response_id", "conversation", "prompt")
_ECHOED = (
    "instructions", "max_output_tokens", "metadata", "parallel_tool_calls", "reasoning", "temperature", "text",
    "tool_choice", "tools", "top_p", "truncation",
)  # fmt: skip
_NO_THOUGHT = frozenset(("none", "minimal"))
_IMAGE_BELOW = "[the result is the image below]"


class _Reasoning(msgspec.Struct):
    effort: str | None = None


class _Format(msgspec.Struct):
    type: str = ""
    name: str | None = None
    schema: Raw = NULL
    strict: bool | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None


_REASONING = msgspec.json.Decoder(_Reasoning | None)
_TEXT = msgspec.json.Decoder(_Text | None)


def responses_to_chat(ask: Ask) -> ChatRequest:
    """Translate a request that `parse_responses` accepted.

    Raises BadBody where an item is not what it says it is, CannotTranslate where it leans on a server's memory.
    """
    body = ask.body
    for name in _STATEFUL:
        if name in body and kind_of(body[name]) != "null":
            what = (
                "a conversation kept on the server is not available here; send the whole history in `input`"
            )
            raise CannotTranslate(f"{name}: {what}", name)
    names = ToolNames()
    tools = Toolbox(names)
    if "tools" in body:
        tools.offer(body["tools"], "tools")
    conversation = _Conversation(names, tools)
    if "instructions" in body:
        conversation.message("system", body["instructions"], "instructions")
    if kind_of(body["input"]) == "string":
        conversation.message("user", body["input"], "input")
    else:
        for index, item in enumerate(decode_field(body, "input", ITEMS)):
            conversation.add(item, f"input[{index}]")
    conversation.close()
    reasoning = decode_field(body, "reasoning", _REASONING) if "reasoning" in body else None
    effort = reasoning.effort if reasoning else None
    return ChatRequest(
        "responses",
        conversation.messages,
        {**_sampling(body), **tools.choice(body)},
        names,
        thinks=False if effort in _NO_THOUGHT else None,
        effort=effort,
        echo={name: _one_line(body[name]) for name in _ECHOED if name in body},
    )


def _one_line(value: Raw) -> Raw:
    """The same JSON without line feeds, which would end a line of an event."""
    data = bytes(value)
    return value if b"\n" not in data and b"\r" not in data else Raw(msgspec.json.format(data, indent=-1))


def _sampling(body: dict[str, Raw]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        name: body[own] for own, name in _SAME.items() if own in body and kind_of(body[own]) == "number"
    }
    text = decode_field(body, "text", _TEXT) if "text" in body else None
    wanted = text.format if text else None
    if wanted is not None and wanted.type == "json_schema":
        schema: dict[str, Any] = {"name": wanted.name or "answer", "schema": wanted.schema}
        if wanted.strict is not None:
            schema["strict"] = wanted.strict
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif wanted is not None and wanted.type == "json_object":
        fields["response_format"] = {"type": "json_object"}
    return fields


class _Conversation:
    """Chat messages, built item by item. What an assistant said, thought and called in one turn becomes one message."""

    def __init__(self, names: ToolNames, tools: Toolbox) -> None:
        self.messages: list[Message] = []
        self._names = names
        self._tools = tools
        self._turn: Message | None = None  # the assistant's, not yet closed
        self._images: list[Part] = []  # from tool results: shown once all results are in

    def add(self, item: Item, path: str) -> None:
        """Append what an item says; the place of one at fault is told by `path`."""
        kind = item.type or ("message" if item.role else "")
        match kind:
            case "message":
                self.message(item.role or "user", item.content, f"{path}.content")
            case "reasoning":
                self._reasoning(item)
            case "function_call":
                arguments = text_in(item.arguments, f"{path}.arguments") or "{}"
                self._call(item, Tool(item.name or "", item.namespace), arguments)
            case "custom_tool_call":
                text = text_in(item.input, f"{path}.input")
                tool = Tool(item.name or "", item.namespace, "custom")
                self._call(item, tool, msgspec.json.encode({FREE_TEXT: text}).decode())
            case "tool_search_call":
                arguments = text_in(item.arguments, f"{path}.arguments") or "{}"
                self._call(item, Tool(SEARCH, None, "search"), arguments)
            case "tool_search_output":
                self._tools.offer(item.tools, f"{path}.tools", found=True)
                self._result(item, [text_part("The tools that were found can be called now.")])
            case "additional_tools":
                self._tools.offer(item.tools, f"{path}.tools")
            case other if other.endswith("_output") and item.call_id:
                self._result(item, parts_of(item.output, f"{path}.output"))
            case other if other.endswith("_call") and item.call_id:
                # A tool of OpenAI's own that the client ran (a shell): the model sees what was done.
                self._call(item, Tool(other), text_in(item.action, f"{path}.action") or "{}")
            case _:
                pass  # searches that ran on OpenAI's side, references to stored items: nothing in them to read

    def message(self, role: str, content: Raw, path: str) -> None:
        """Append a message with this content, if it holds any."""
        parts = parts_of(content, path)
        if not parts:
            return
        if role == "assistant":
            turn = self._assistant()
            said = text_of(parts)
            turn["content"] = f"{turn['content']}\n\n{said}" if turn["content"] else said
            return
        self.close()
        system = role in ("system", "developer")
        self.messages.append(
            {
                "role": "system" if system else "user",
                "content": text_of(parts) if system else content_of(parts),
            }
        )

    def close(self) -> None:
        """End what is open: the assistant's turn, and images that tool results showed."""
        self._turn = None
        if self._images:
            self.messages.append({"role": "user", "content": self._images})
            self._images = []

    def _assistant(self) -> Message:
        if self._turn is None:
            self.close()
            self._turn = {"role": "assistant", "content": None}
            self.messages.append(self._turn)
        return self._turn

    def _reasoning(self, item: Item) -> None:
        """What the model thought, where it can be read: another provider's sealed reasoning cannot."""
        seal = item.encrypted_content
        thought = unsealed(seal) if seal and is_ours(seal) else ""
        thought = thought or reasoning_in(item.content) or reasoning_in(item.summary)
        if thought:
            turn = self._assistant()
            before = turn.get("reasoning_content")
            turn["reasoning_content"] = f"{before}\n\n{thought}" if before else thought

    def _call(self, item: Item, tool: Tool, arguments: str) -> None:
        call = call_of(item.call_id or item.id or "", self._names.outward(tool), arguments)
        self._assistant().setdefault("tool_calls", []).append(call)

    def _result(self, item: Item, parts: list[Part]) -> None:
        self._turn = None
        images, text = images_of(parts), text_of(parts)
        if images:
            self._images += [text_part(f"[image from the result of {item.call_id}]"), *images]
            text = text or _IMAGE_BELOW
        self.messages.append({"role": "tool", "tool_call_id": item.call_id or "", "content": text})
