"""JSON-RPC as signal-cli speaks it, whatever carries it: calls, answers, refusals, a connection's end. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

CALL_S = 60.0
Notify = Callable[[Any], None]


class LinkLost(Exception):
    """The connection is gone, or could not be made. What was asked on it was not taken: it may be asked again."""


class AnswerLost(LinkLost):
    """The connection is gone, and signal-cli had read what was asked: it does that, but how it went is not known."""


class RpcError(Exception):
    """signal-cli refused. `data` is what it added."""

    def __init__(self, code: int, message: str, data: Any) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""
    data: Any = None


class Reply(msgspec.Struct):
    """A line from signal-cli: the answer to a call, or with a `method` something that it tells by itself."""

    id: str | int | None = None
    method: str | None = None
    params: Any = None
    result: Any = None
    error: _Error | None = None

    def value(self) -> Any:
        """What was asked for. Raises RpcError."""
        if self.error is not None:
            raise RpcError(self.error.code, self.error.message, self.error.data)
        return self.result


REPLY = msgspec.json.Decoder(Reply)


def request(number: str, method: str, params: Mapping[str, Any]) -> bytes:
    """A call, without the end of its line."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


class Link(Protocol):
    """One connection. `call` raises RpcError, LinkLost, AnswerLost and TimeoutError."""

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """Ask, and wait for the answer, while somebody listens."""
        ...

    async def listen(self, notify: Notify) -> None:
        """Hand the parameters of every `receive` to `notify`, until the connection ends."""
        ...

    def close(self) -> None:
        """Let the connection go. Safe to call twice."""
        ...
