"""A chat answer said in the responses dialect, as events and as a whole response."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from brainrouter.wire.blocks import Block, is_json
from brainrouter.wire.chat_request import ChatRequest
from brainrouter.wire.error_body import failed_response
from brainrouter.wire.inward import Inward, Stamp
from brainrouter.wire.responses_tools import FREE_TEXT
from brainrouter.wire.sealed import sealed
from brainrouter.wire.tool_names import Tool

_encode = msgspec.json.Encoder().encode
_FREE_TEXT = msgspec.json.Decoder(dict[str, Raw])
_TEXT = msgspec.json.Decoder(str)

_EVENT = b'event: %b\ndata: {"type":"%b","sequence_number":%d,%b}\n\n'
_PIECE = b'"item_id":%b,"output_index":%d,"content_index":0,"delta":%b'
_ARGUMENTS = b'"item_id":%b,"output_index":%d,"delta":%b'

# By the kind of block: the prefix of its item's id, the event of a piece, the type of its content part.
_PREFIX = {"text": "msg", "refusal": "msg", "thinking": "rs", "call": "fc"}
_DELTAS = {
    "text": b"response.output_text",
    "refusal": b"response.refusal",
    "thinking": b"response.reasoning_text",
    "call": b"response.function_call_arguments",
}
_CUSTOM = b"response.custom_tool_call_input"
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ToResponses(Inward):
    """One answer in the responses dialect; every tool under the name, namespace and kind that the caller gave it."""

    def __init__(self, request: ChatRequest, stamp: Stamp) -> None:
        super().__init__(stamp, hide_thinking=request.thinks is False)
        self._names = request.names
        self._echo = request.echo
        self._tool = Tool("")
        self._item_id = b""
        self._output: list[dict[str, Any]] = []
        self._number = 0

    def broken(self, *, status: int, message: str, kind: str) -> bytes:
        """`response.failed` for this very response, with what was whole of it, then the error."""
        response = {**self._response("failed"), "output": self._output}
        return failed_response(response, self._number, status=status, message=message, kind=kind)

    def _emit(self, kind: bytes, fields: bytes) -> None:
        self._out.append(_EVENT % (kind, kind, self._number, fields))
        self._number += 1

    def _begin(self) -> None:
        response = b'"response":' + _encode(self._response("in_progress"))
        self._emit(b"response.created", response)
        self._emit(b"response.in_progress", response)

    def _opened(self, block: Block) -> None:
        if block.kind == "call":
            self._tool = self._names.inward(block.name)
            block.id = block.id or f"call_{self._stamp.token}_{block.number}"
        self._item_id = _encode(self._id_of(block))
        self._item_event(b"response.output_item.added", block, self._item(block, "in_progress", ""))
        if block.kind != "call":
            self._part_event(b"response.content_part.added", block, self._part(block, ""))

    def _grew(self, block: Block, piece: str) -> None:
        if block.kind != "call":
            fields = _PIECE % (self._item_id, block.number, _encode(piece))
            if block.kind == "text":
                fields += b',"logprobs":[]'
            self._emit(_DELTAS[block.kind] + b".delta", fields)
        elif self._tool.kind == "function":
            fields = _ARGUMENTS % (self._item_id, block.number, _encode(piece))
            self._emit(b"response.function_call_arguments.delta", fields)

    def _closed(self, block: Block) -> None:
        text = block.text
        if block.kind == "call":
            text = self._close_call(block, text)
        else:
            self._close_text(block, text)
        item = self._item(block, self._item_status(block, text), text)
        self._output.append(item)
        self._item_event(b"response.output_item.done", block, item)

    def _close_text(self, block: Block, text: str) -> None:
        name = "refusal" if block.kind == "refusal" else "text"
        fields: dict[str, Any] = {"content_index": 0, name: text}
        if block.kind == "text":
            fields["logprobs"] = []
        self._done(_DELTAS[block.kind], block, fields)
        self._part_event(b"response.content_part.done", block, self._part(block, text))

    def _close_call(self, block: Block, text: str) -> str:
        """Say the end of a call; returns its arguments, or the text of a free-text one."""
        if self._tool.kind == "custom":
            text = _free_text(text)
            if text:
                self._emit(_CUSTOM + b".delta", _ARGUMENTS % (self._item_id, block.number, _encode(text)))
            self._done(_CUSTOM, block, {"input": text})
            return text
        if not text.strip():
            text = "{}"
            self._grew(block, text)
        if self._tool.kind == "function":
            self._done(_DELTAS["call"], block, {"name": self._tool.name, "arguments": text})
        return text

    def _complete(self) -> None:
        kind = b"response.incomplete" if self._finish in _INCOMPLETE else b"response.completed"
        self._emit(kind, b'"response":' + _encode(self._final()))

    def _heartbeat(self) -> bytes:
        return b": thinking\n\n"

    def _document(self) -> bytes:
        return _encode(self._final())

    def _item_event(self, kind: bytes, block: Block, item: dict[str, Any]) -> None:
        self._emit(kind, b'"output_index":%d,"item":%b' % (block.number, _encode(item)))

    def _part_event(self, kind: bytes, block: Block, part: dict[str, Any]) -> None:
        place = b'"item_id":%b,"output_index":%d,"content_index":0,"part":%b'
        self._emit(kind, place % (self._item_id, block.number, _encode(part)))

    def _done(self, kind: bytes, block: Block, fields: dict[str, Any]) -> None:
        place = b'"item_id":%b,"output_index":%d,%b'
        self._emit(kind + b".done", place % (self._item_id, block.number, _encode(fields)[1:-1]))

    def _part(self, block: Block, text: str) -> dict[str, Any]:
        if block.kind == "refusal":
            return {"type": "refusal", "refusal": text}
        if block.kind == "thinking":
            return {"type": "reasoning_text", "text": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def _item(self, block: Block, status: str, text: str) -> dict[str, Any]:
        """The output item of a block, as far as it has come: without content while it is in progress."""
        head: dict[str, Any] = {"id": self._id_of(block), "status": status}
        begun = status == "in_progress"
        if block.kind == "thinking":
            parts = [] if begun else [self._part(block, text)]
            seal = None if begun else sealed(text)
            return {**head, "type": "reasoning", "summary": [], "content": parts, "encrypted_content": seal}
        if block.kind != "call":
            parts = [] if begun else [self._part(block, text)]
            return {**head, "type": "message", "role": "assistant", "content": parts}
        tool = self._tool
        if tool.kind == "search":
            arguments = _arguments(text)
            return {
                **head,
                "type": "tool_search_call",
                "call_id": block.id,
                "execution": "client",
                "arguments": arguments,
            }
        named: dict[str, Any] = {"call_id": block.id, "name": tool.name}
        if tool.namespace is not None:
            named["namespace"] = tool.namespace
        if tool.kind == "custom":
            return {**head, "type": "custom_tool_call", **named, "input": text}
        return {**head, "type": "function_call", **named, "arguments": text}

    def _item_status(self, block: Block, text: str) -> str:
        """A call that the limit cut in two must not look whole."""
        cut = self._finish == "length" and block.kind == "call" and self._tool.kind == "function"
        return "incomplete" if cut and not is_json(text) else "completed"

    def _id_of(self, block: Block) -> str:
        prefix = _PREFIX[block.kind]
        if block.kind == "call" and self._tool.kind != "function":
            prefix = "ctc" if self._tool.kind == "custom" else "tsc"
        return f"{prefix}_{self._stamp.token}_{block.number}"

    def _final(self) -> dict[str, Any]:
        reason = _INCOMPLETE.get(self._finish or "")
        response = self._response("incomplete" if reason else "completed")
        response["output"] = self._output
        response["incomplete_details"] = {"reason": reason} if reason else None
        response["usage"] = self._tokens()
        return response

    def _response(self, status: str) -> dict[str, Any]:
        defaults: dict[str, Any] = {
            "tools": [],
            "tool_choice": "auto",
            "parallel_tool_calls": True,
            "metadata": {},
        }
        return {
            "id": f"resp_{self._stamp.token}",
            "object": "response",
            "created_at": self._stamp.created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "model": self._model,
            "output": [],
            "previous_response_id": None,
            "store": False,
            "usage": None,
            **defaults,
            **self._echo,
        }

    def _tokens(self) -> dict[str, Any]:
        usage = self._usage
        prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
        return {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": usage.cached},
            "output_tokens": completion,
            "output_tokens_details": {"reasoning_tokens": usage.reasoned},
            "total_tokens": prompt + completion,
        }


def _free_text(arguments: str) -> str:
    """The text that a model gave a free-text tool: the one argument, or all it wrote when it wrote no JSON."""
    try:
        return _TEXT.decode(_FREE_TEXT.decode(arguments)[FREE_TEXT])
    except (msgspec.DecodeError, RecursionError, KeyError):
        return arguments


def _arguments(text: str) -> Any:
    """Arguments as an object, which is how a search is called."""
    try:
        return _FREE_TEXT.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return {}
