"""The six ways of asking: three protocols, streamed or whole; and what a client makes of each reply."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import socket
import time
from dataclasses import dataclass
from typing import Any

from tests.daemon import Daemon

PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Way:
    """One way of asking."""

    protocol: str
    stream: bool

    def __str__(self) -> str:
        return f"{self.protocol} {'stream' if self.stream else 'whole'}"

    @property
    def path(self) -> str:
        return PATHS[self.protocol]

    def body(self, model: str, text: str, **fields: Any) -> dict[str, Any]:
        """A request that says `text`."""
        body: dict[str, Any] = {"model": model, "stream": self.stream, **fields}
        if self.protocol == "responses":
            return {"input": text, **body}
        turns = {"messages": [{"role": "user", "content": text}]}
        return {**turns, **({"max_tokens": 1000} if self.protocol == "messages" else {}), **body}

    def raw(self, daemon: Daemon, model: str, text: str, **fields: Any) -> bytes:
        """The request as bytes on the wire."""
        body = json.dumps(self.body(model, text, **fields)).encode()
        head = f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1:{daemon.port}\r\ncontent-type: application/json\r\n"
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    def open(self, daemon: Daemon, model: str, text: str, **fields: Any) -> socket.socket:
        """A connection on which it was asked."""
        connection = socket.create_connection(("127.0.0.1", daemon.port), timeout=20.0)
        connection.sendall(self.raw(daemon, model, text, **fields))
        return connection

    def ask(self, daemon: Daemon, model: str, text: str, patience_s: float = 60.0, **fields: Any) -> Heard:
        """Ask, and read to the end, whatever that is."""
        with contextlib.closing(daemon.connect(timeout_s=patience_s)) as connection:
            started = time.monotonic()
            headers = {"content-type": "application/json"}
            connection.request("POST", self.path, json.dumps(self.body(model, text, **fields)), headers)
            reply = connection.getresponse()
            cut, begun_s = False, time.monotonic() - started
            try:
                body = reply.read()
            except (http.client.IncompleteRead, ConnectionError) as broken:
                cut, body = True, getattr(broken, "partial", b"")
            found = {name.lower(): value for name, value in reply.getheaders()}
            return Heard(self, reply.status, found, body, cut, begun_s, time.monotonic() - started)


WAYS = tuple(Way(protocol, stream) for protocol in PATHS for stream in (True, False))
STREAMS = tuple(way for way in WAYS if way.stream)
WHOLES = tuple(way for way in WAYS if not way.stream)


@dataclass(frozen=True)
class Heard:
    """What a client got. `cut`: HTTP itself ended early."""

    way: Way
    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool
    begun_s: float
    took_s: float

    @property
    def side(self) -> str | None:
        return self.headers.get("x-brainrouter-decision")

    @property
    def streamed(self) -> bool:
        return "event-stream" in self.headers.get("content-type", "")

    def events(self) -> list[dict[str, Any]]:
        """The JSON events of a stream."""
        return [json.loads(line[6:]) for line in self.body.split(b"\n") if line.startswith(b"data: {")]

    @property
    def text(self) -> str:
        """What the model said, as this protocol's clients put it together."""
        if not self.streamed:
            return _whole_text(self.way.protocol, json.loads(self.body))
        return "".join(map(_delta, self.events()))

    @property
    def complete(self) -> bool:
        """Whether a client takes it for a whole answer."""
        if self.cut or self.status != 200:
            return False
        if not self.streamed:
            return "error" not in json.loads(self.body) or json.loads(self.body)["error"] is None
        return b"data: [DONE]" in self.body or any(map(_ends, self.events()))

    @property
    def error(self) -> dict[str, Any] | None:
        """The error in the shape that this protocol's clients look for, if there is one."""
        documents = self.events()[-1:] if self.streamed else [json.loads(self.body)]
        for document in documents:
            found = document.get("response", {}).get("error") or document.get("error")
            named = document.get("type") in ("error", "response.failed") or self.way.protocol != "messages"
            if found is None and document.get("type") == "error":
                found = document  # responses: the event is the error
            if isinstance(found, dict) and found.get("message") and named:
                return found
        return None

    @property
    def retry_after(self) -> int | None:
        value = self.headers.get("retry-after")
        return None if value is None else int(value)


def unique(what: str) -> str:
    """A prompt that no other request has, to find its event by."""
    return f"{what} {next(_numbers)}"


def _whole_text(protocol: str, document: dict[str, Any]) -> str:
    if protocol == "chat":
        return document["choices"][0]["message"]["content"] or ""
    if protocol == "messages":
        return "".join(block.get("text", "") for block in document["content"])
    parts = [part for item in document["output"] for part in item.get("content", ())]
    return "".join(part.get("text", "") for part in parts)


def _delta(event: dict[str, Any]) -> str:
    kind = event.get("type")
    if kind == "content_block_delta":
        return event["delta"].get("text", "")
    if kind == "response.output_text.delta":
        return event["delta"]
    return "".join(choice.get("delta", {}).get("content") or "" for choice in event.get("choices", ()))


def _ends(event: dict[str, Any]) -> bool:
    if event.get("type") in ("message_stop", "response.completed"):
        return True
    if event.get("type") == "message_delta":
        return event["delta"].get("stop_reason") is not None
    return any(choice.get("finish_reason") for choice in event.get("choices", ()))
