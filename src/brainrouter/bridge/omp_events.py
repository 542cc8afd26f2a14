"""What `omp --mode json` writes, read line by line: the session's id, what it is doing, the answer. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

ANSWER_CHARS = 1 << 20


class _Piece(msgspec.Struct):
    type: str = ""
    text: str = ""


class _Message(msgspec.Struct):
    role: str = ""
    content: list[_Piece] | str = ""
    stopReason: str | None = None
    errorMessage: str | None = None


class _Delta(msgspec.Struct):
    type: str = ""


class _Event(msgspec.Struct):
    type: str = ""
    id: str | None = None
    message: _Message | None = None
    toolName: str | None = None
    assistantMessageEvent: _Delta | None = None


_EVENT = msgspec.json.Decoder(_Event)


@dataclass(slots=True)
class Reading:
    """What one run has said so far."""

    session: str | None = None
    answer: str = ""
    doing: str = "starting"
    failure: str | None = None

    def line(self, raw: bytes) -> None:
        """Take one line in. What is not one of omp's events is passed over."""
        try:
            event = _EVENT.decode(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return
        if event.type == "session":
            self.session = event.id
        elif event.type == "tool_execution_start":
            self.doing = f"using {event.toolName or 'a tool'}"[:60]
        elif event.type == "message_update" and event.assistantMessageEvent is not None:
            writes = event.assistantMessageEvent.type.startswith("text")
            self.doing = "writing" if writes else "thinking"
        elif event.type == "message_end" and event.message is not None:
            self._ended(event.message)

    def _ended(self, message: _Message) -> None:
        if message.role != "assistant":
            return
        text = _text(message)
        self.failure = None
        if message.stopReason in ("error", "aborted"):
            self.failure = message.errorMessage or f"the turn ended with {message.stopReason}"
        if text.strip():
            self.answer = text[:ANSWER_CHARS]


def _text(message: _Message) -> str:
    if isinstance(message.content, str):
        return message.content
    return "".join(piece.text for piece in message.content if piece.type == "text")
