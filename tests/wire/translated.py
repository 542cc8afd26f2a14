"""Requests to translate, runs of a response machine, and its events read back."""

from __future__ import annotations

import json
from typing import Any

from brainrouter.wire.chat_request import ChatRequest
from brainrouter.wire.inward import Inward, Stamp
from brainrouter.wire.messages import parse_messages
from brainrouter.wire.responses import parse_responses
from brainrouter.wire.sse import EventSplitter, parse_event
from brainrouter.wire.translate import inward, to_chat

STAMP = Stamp("0badc0de", 1_700_000_000, "local-model")


def from_messages(**body: Any) -> ChatRequest:
    body = {"model": "auto", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}], **body}
    return to_chat(parse_messages(json.dumps(body).encode(), {}))


def from_responses(**body: Any) -> ChatRequest:
    return to_chat(parse_responses(json.dumps({"model": "auto", "input": "hi", **body}).encode(), {}))


def machine(request: ChatRequest) -> Inward:
    return inward(request, STAMP)


def run(request: ChatRequest, pieces: list[bytes]) -> bytes:
    """All that a caller gets for these pieces of a chat stream."""
    one = machine(request)
    return b"".join([one.feed(piece) for piece in pieces]) + one.end()


def events(stream: bytes) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream as name and data; comments are left out."""
    splitter = EventSplitter()
    found = [parse_event(raw) for raw in splitter.feed(stream)]
    assert splitter.end() == b""
    return [(event.name, json.loads(event.data)) for event in found if event.data is not None]
