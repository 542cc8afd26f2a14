"""A chat answer said in the messages dialect, as events and as a whole message."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Raw

from brainrouter.wire.blocks import Block
from brainrouter.wire.chat_chunk import BadAnswer
from brainrouter.wire.chat_request import ChatRequest
from brainrouter.wire.inward import Inward, Stamp
from brainrouter.wire.sealed import sealed

_ENCODER = msgspec.json.Encoder()
_encode = _ENCODER.encode
_ODD_ID = re.compile(r"[^A-Za-z0-9_-]")

_START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_%b","type":"message","role":"assistant",'
    b'"model":%b,"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,'
    b'"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}\n\n'
)
_BLOCK_START = (
    b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
)
_BLOCK_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_STOP = (
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":%b,"stop_sequence":%b},"usage":%b}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'


def _delta(kind: bytes, name: bytes) -> bytes:
    head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"'
    return head + kind + b'","' + name + b'":%b}}\n\n'


_SIGNATURE = _delta(b"signature_delta", b"signature")
# By the kind of block: what opens it, and what a piece of it looks like.
_EMPTY = {
    "text": b'{"type":"text","text":""}',
    "refusal": b'{"type":"text","text":""}',
    "thinking": b'{"type":"thinking","thinking":"","signature":""}',
}
_DELTAS = {
    "text": _delta(b"text_delta", b"text"),
    "refusal": _delta(b"text_delta", b"text"),
    "thinking": _delta(b"thinking_delta", b"thinking"),
    "call": _delta(b"input_json_delta", b"partial_json"),
}
_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


class ToMessages(Inward):
    """One answer in the messages dialect. Thinking is shown only to callers that asked for it."""

    def __init__(self, request: ChatRequest, stamp: Stamp) -> None:
        super().__init__(stamp, hide_thinking=not request.thinks)
        self._names = request.names
        self._blocks_closed: list[Block] = []
        self._ids: set[str] = set()

    def _begin(self) -> None:
        self._out.append(_START % (self._stamp.token.encode(), _encode(self._model)))

    def _opened(self, block: Block) -> None:
        if block.kind == "call":
            block.id = self._call_id(block.id)
            block.name = self._names.inward(block.name).name
            start: dict[str, Any] = {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}
            self._out.append(_BLOCK_START % (block.number, _encode(start)))
        else:
            self._out.append(_BLOCK_START % (block.number, _EMPTY[block.kind]))

    def _grew(self, block: Block, piece: str) -> None:
        self._out.append(_DELTAS[block.kind] % (block.number, _encode(piece)))

    def _closed(self, block: Block) -> None:
        if block.kind == "thinking":
            self._out.append(_SIGNATURE % (block.number, _encode(sealed(""))))
        elif block.kind == "call" and not block.text.strip():
            block.said.append("{}")
            self._grew(block, "{}")
        self._out.append(_BLOCK_STOP % block.number)
        self._blocks_closed.append(block)

    def _complete(self) -> None:
        stop = self._stop_reason()
        self._out.append(_STOP % (_encode(stop), _encode(self._sequence(stop)), _encode(self._tokens())))

    def _heartbeat(self) -> bytes:
        return _PING

    def _document(self) -> bytes:
        stop = self._stop_reason()
        content = [self._content(block) for block in self._blocks_closed]
        return _encode(
            {
                "id": f"msg_{self._stamp.token}",
                "type": "message",
                "role": "assistant",
                "model": self._model,
                "content": [block for block in content if block],
                "stop_reason": stop,
                "stop_sequence": self._sequence(stop),
                "usage": self._tokens(),
            }
        )

    def _content(self, block: Block) -> dict[str, Any] | None:
        text = block.text
        if block.kind == "thinking":
            return {"type": "thinking", "thinking": text, "signature": sealed("")}
        if block.kind != "call":
            return {"type": "text", "text": text}
        try:
            arguments = msgspec.json.decode(text, type=dict[str, Raw])
        except (msgspec.DecodeError, RecursionError):
            if text.strip() == "null":
                arguments = {}
            elif self._finish == "length":
                return None  # cut off in the middle: nobody may run half a call
            else:
                raise BadAnswer(f"the arguments of the call of {block.name} are no JSON object") from None
        return {"type": "tool_use", "id": block.id, "name": block.name, "input": arguments}

    def _call_id(self, told: str) -> str:
        """An id that the vendor's own API takes too, should the conversation go on there; never one twice."""
        plain = _ODD_ID.sub("_", told)
        if not plain or plain in self._ids:
            plain = f"toolu_{self._stamp.token}_{len(self._ids)}"
        self._ids.add(plain)
        return plain

    def _stop_reason(self) -> str:
        if self._stop_sequence is not None:
            return "stop_sequence"
        reason = _STOP_REASONS.get(self._finish or "stop", "end_turn")
        if reason in ("end_turn", "tool_use"):
            # What was called counts, whatever the server says of it.
            return "tool_use" if self._blocks.called else "end_turn"
        return reason

    def _sequence(self, stop: str) -> str | None:
        return self._stop_sequence if stop == "stop_sequence" else None

    def _tokens(self) -> dict[str, int]:
        """Anthropic counts the cached part beside the input, not in it."""
        usage = self._usage
        return {
            "input_tokens": max(0, (usage.prompt_tokens or 0) - usage.cached),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": usage.cached,
            "output_tokens": usage.completion_tokens or 0,
        }
