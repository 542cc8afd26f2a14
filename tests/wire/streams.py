"""A good stream in each dialect, piece by piece, and a run of one through a watch."""

from __future__ import annotations

import json
from typing import Any

from brainrouter.wire.sse import frame
from brainrouter.wire.watch import StreamWatch

TRICKY = (
    'Привет 日本 "error": {"message":"x"} data: [DONE]\n\n{"error":1} '
    '[🦚 Manifest M100] "finish_reason":"stop" "usage"'
)
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "qwen"}


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    body = {**HEAD, "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}], **more}
    return frame(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())


def event(kind: str, **fields: Any) -> bytes:
    return frame(json.dumps({"type": kind, **fields}, ensure_ascii=False).encode(), kind)


DONE = b"data: [DONE]\n\n"
ROLE = chunk({"role": "assistant", "content": ""})
CHAT = [
    ROLE,
    chunk({"content": "Hello "}),
    b": ping\n\n",
    chunk({"content": TRICKY}),
    chunk({}, "stop"),
    chunk(
        choices=[],
        usage={"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 3}},
        timings={"prompt_n": 6, "cache_n": 3},
    ),
    DONE,
]
MESSAGES = [
    event(
        "message_start",
        message={
            "id": "m",
            "model": "claude-x",
            "content": [],
            "usage": {"input_tokens": 5, "cache_read_input_tokens": 7},
        },
    ),
    event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    event("ping"),
    event("content_block_delta", index=0, delta={"type": "text_delta", "text": TRICKY}),
    event("content_block_stop", index=0),
    event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 6}),
    event("message_stop"),
]
RESPONSES = [
    event(
        "response.created",
        response={"id": "r", "model": "gpt-x", "status": "in_progress", "error": None, "output": []},
    ),
    event("response.output_item.added", item={"type": "message", "content": []}),
    event("response.output_text.delta", delta=TRICKY),
    event(
        "response.output_item.done",
        item={"type": "message", "content": [{"type": "output_text", "text": TRICKY}]},
    ),
    event(
        "response.completed",
        response={
            "model": "gpt-x",
            "status": "completed",
            "error": None,
            "usage": {"input_tokens": 5, "output_tokens": 6, "input_tokens_details": {"cached_tokens": 2}},
        },
    ),
]
STREAMS = {"chat": CHAT, "messages": MESSAGES, "responses": RESPONSES}


def run(dialect: Any, pieces: list[bytes], *, local: bool = False) -> tuple[StreamWatch, bytes]:
    watch = StreamWatch(dialect, local=local)
    passed = b"".join([watch.feed(piece) for piece in pieces])
    return watch, passed + watch.end()


def summary(watch: StreamWatch) -> tuple[Any, ...]:
    return (watch.begun, watch.failure, watch.complete, watch.model, watch.finish, watch.usage, watch.timings)
