"""What a model says, before it is put in a protocol: text, reasoning, tool calls, usage."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

CHAT, MESSAGES, RESPONSES = "chat", "messages", "responses"


@dataclass(frozen=True)
class Event:
    """One server-sent event, not yet bytes. `data` may hold line feeds; `raw` replaces all of it."""

    data: str = ""
    name: str | None = None
    raw: bytes | None = None
    terminal: bool = False


@dataclass(frozen=True)
class Call:
    """One tool call; `arguments` is the JSON text the model wrote, valid or not."""

    name: str
    arguments: str
    id: str


@dataclass(frozen=True)
class Usage:
    """Token counts; `cache_read` and `cache_write` are part of the input in OpenAI's way of counting."""

    input: int = 12
    output: int = 7
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0


@dataclass(frozen=True)
class Answer:
    """A finished turn of a model."""

    text: str = "Hello from the sim."
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    usage: Usage = field(default_factory=Usage)
    model: str = "sim-model"
    piece_chars: int = 6
    interleave: bool = False
    finish: str = ""
    always_usage: bool = False
    ident: str = "sim-1"
    timings: dict[str, Any] | None = None  # llama.cpp's own figures, beside the usage

    @property
    def chat_finish(self) -> str:
        """The finish reason in chat words."""
        return self.finish or ("tool_calls" if self.calls else "stop")

    def pieces(self, text: str) -> list[str]:
        """`text` in deltas."""
        return [text[at : at + self.piece_chars] for at in range(0, len(text), self.piece_chars)]


def dump(document: Any) -> str:
    """JSON as providers write it: compact, not escaped to ASCII."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def protocol_of(path: str) -> str:
    """Which protocol an endpoint speaks, by its path."""
    if path.endswith("/messages"):
        return MESSAGES
    return RESPONSES if path.endswith("/responses") else CHAT


def answer_from(script: dict[str, Any], body: Any, ident: str) -> Answer:
    """The answer that a script describes, to this request."""
    body = body if isinstance(body, dict) else {}
    calls = tuple(
        Call(
            str(call.get("name", "read_file")),
            arguments if isinstance(arguments := call.get("arguments", {}), str) else dump(arguments),
            str(call.get("id") or f"call_{ident}_{number}"),
        )
        for number, call in enumerate(script.get("tool_calls") or ())
    )
    if script.get("use_tools") and not calls:
        calls = tool_use(body, ident)
    text = script.get("text")
    if text is None:
        text = "" if calls else Answer.text
    if script.get("echo"):
        text = last_user_text(body)
    return Answer(
        text=text,
        reasoning=script.get("reasoning", ""),
        calls=calls,
        usage=Usage(**script.get("usage", {})),
        model=script.get("model") or str(body.get("model", Answer.model)),
        piece_chars=script.get("piece_chars", 6),
        interleave=script.get("interleave", False),
        finish=script.get("finish", ""),
        always_usage=script.get("always_usage", False),
        ident=ident,
        timings=script.get("timings"),
    )


def _turns(body: dict[str, Any]) -> list[dict[str, Any]]:
    turns = body.get("messages") if "messages" in body else body.get("input")
    if isinstance(turns, str):
        return [{"role": "user", "content": turns}]
    return [turn for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []


def last_user_text(body: dict[str, Any]) -> str:
    """The text of the last user turn, in any of the three protocols."""
    for turn in reversed(_turns(body)):
        if turn.get("role") == "user":
            content = turn.get("content")
            if isinstance(content, str):
                return content
            if isinstance(content, list):
                return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return ""


def is_user_turn(body: dict[str, Any]) -> bool:
    """Whether the last turn is a person's, not the result of a tool."""
    turns = _turns(body)
    if not turns or turns[-1].get("role") != "user":
        return False
    content = turns[-1].get("content")
    parts = content if isinstance(content, list) else []
    return not any(isinstance(part, dict) and part.get("type") == "tool_result" for part in parts)


def tool_use(body: dict[str, Any], ident: str) -> tuple[Call, ...]:
    """A call of the first offered tool on a user turn; nothing after a tool's result."""
    tools = body.get("tools")
    if not isinstance(tools, list) or not tools or not is_user_turn(body):
        return ()
    tool = tools[0].get("function", tools[0])
    schema = tool.get("parameters") or tool.get("input_schema") or {}
    return (Call(str(tool.get("name", "tool")), dump(example(schema)), f"call_{ident}"),)


def example(schema: Any) -> Any:
    """A value that a JSON schema allows, for the schemas that tools have."""
    if not isinstance(schema, dict):
        return {}
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return example(schema[key][0])
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        wanted = schema.get("required") or list(properties)
        return {name: example(properties.get(name, {"type": "string"})) for name in wanted}
    if kind == "array":
        return [example(schema.get("items", {"type": "string"}))]
    return {"string": "example", "integer": 1, "number": 1.5, "boolean": True}.get(kind)
