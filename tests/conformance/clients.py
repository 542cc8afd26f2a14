"""One conversation in three protocols, asked and heard through the vendors' own SDKs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import anthropic
import openai
from openai.lib.streaming.chat import ChatCompletionStreamState

SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@dataclass
class Heard:
    """What a client understood. `calls` are (id, name, arguments as an object)."""

    text: str = ""
    thought: str = ""
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    stop: str | None = None
    prompt: int = 0
    cached: int = 0
    completion: int = 0
    raw: Any = None


class Client:
    """A caller of one protocol. `ask` is one turn, whole or streamed; `again` one with a tool's result."""

    def __init__(self, base_url: str, model: str) -> None:
        self.base_url = base_url
        self.model = model

    def ask(self, text: str, *, stream: bool, **more: Any) -> Heard:
        """Ask and hear to the end. Raises what the SDK raises."""
        with self.events(text, stream=stream, **more) as heard:
            return heard()

    @contextmanager
    def events(self, text: str, *, stream: bool, **more: Any) -> Iterator[Any]:
        raise NotImplementedError

    @contextmanager
    def first_event(self, text: str) -> Iterator[None]:
        """Ask for a stream, see its first event, then (at the end of the block) leave."""
        raise NotImplementedError

    tools: ClassVar[Any] = None
    image: ClassVar[Any] = None

    def result(self, heard: Heard, text: str) -> list[dict[str, Any]]:
        """What follows the user's turn once the calls that were heard are answered with `text`."""
        raise NotImplementedError


class Chat(Client):
    tools: ClassVar[Any] = [
        {"type": "function", "function": {"name": "bash", "description": "Run.", "parameters": SCHEMA}}
    ]
    image: ClassVar[Any] = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}

    def _sdk(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.base_url}/v1", api_key="x", max_retries=0)

    def _body(self, text: str, content: Any = None, after: Any = (), **more: Any) -> dict[str, Any]:
        more.pop("thinking", None)
        parts = [{"type": "text", "text": text}, *content] if content else text
        return {"model": self.model, "messages": [{"role": "user", "content": parts}, *after], **more}

    @contextmanager
    def events(self, text: str, *, stream: bool, **more: Any) -> Iterator[Any]:
        body: Any = self._body(text, **more)
        with self._sdk() as sdk:
            if not stream:
                yield lambda: self._heard(sdk.chat.completions.create(**body))
                return

            def streamed() -> Heard:
                state, thought = ChatCompletionStreamState(), ""
                told: Any = {**body, "stream": True, "stream_options": {"include_usage": True}}
                for chunk in sdk.chat.completions.create(**told):
                    state.handle_chunk(chunk)
                    for choice in chunk.choices:
                        thought += getattr(choice.delta, "reasoning_content", None) or ""
                heard = self._heard(state.get_final_completion())
                heard.thought = thought
                return heard

            yield streamed

    @contextmanager
    def first_event(self, text: str) -> Iterator[None]:
        with self._sdk() as sdk, sdk.chat.completions.create(**self._body(text), stream=True) as stream:
            next(iter(stream))
            yield

    def _heard(self, done: Any) -> Heard:
        message, usage = done.choices[0].message, done.usage
        calls = [
            (call.id, call.function.name, json.loads(call.function.arguments))
            for call in message.tool_calls or ()
        ]
        thought = getattr(message, "reasoning_content", None) or ""
        cached = usage.prompt_tokens_details.cached_tokens or 0
        return Heard(
            message.content or "", thought, calls, done.choices[0].finish_reason,
            usage.prompt_tokens, cached, usage.completion_tokens, message,
        )  # fmt: skip

    def result(self, heard: Heard, text: str) -> list[dict[str, Any]]:
        said = heard.raw.model_dump(include={"role", "content", "tool_calls"})
        return [said, *({"role": "tool", "tool_call_id": call[0], "content": text} for call in heard.calls)]


class Messages(Client):
    tools: ClassVar[Any] = [{"name": "bash", "description": "Run.", "input_schema": SCHEMA}]
    image: ClassVar[Any] = {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": PNG},
    }

    def _sdk(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=self.base_url, auth_token="x", max_retries=0)

    def _body(self, text: str, content: Any = None, after: Any = (), **more: Any) -> dict[str, Any]:
        if more.pop("thinking", False):
            more["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        parts = [{"type": "text", "text": text}, *content] if content else text
        turns = [{"role": "user", "content": parts}, *after]
        return {"model": self.model, "max_tokens": 4096, "messages": turns, **more}

    @contextmanager
    def events(self, text: str, *, stream: bool, **more: Any) -> Iterator[Any]:
        body: Any = self._body(text, **more)
        with self._sdk() as sdk:
            if not stream:
                yield lambda: self._heard(sdk.messages.create(**body))
                return

            def streamed() -> Heard:
                with sdk.messages.stream(**body) as events:
                    return self._heard(events.get_final_message())

            yield streamed

    @contextmanager
    def first_event(self, text: str) -> Iterator[None]:
        with self._sdk() as sdk, sdk.messages.stream(**self._body(text)) as events:  # type: ignore[arg-type]
            next(iter(events))
            yield

    def _heard(self, done: Any) -> Heard:
        blocks = done.content
        usage = done.usage
        cached = usage.cache_read_input_tokens or 0
        prompt = usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0)
        return Heard(
            "".join(block.text for block in blocks if block.type == "text"),
            "".join(block.thinking for block in blocks if block.type == "thinking"),
            [(block.id, block.name, block.input) for block in blocks if block.type == "tool_use"],
            done.stop_reason, prompt, cached, usage.output_tokens, blocks,
        )  # fmt: skip

    def result(self, heard: Heard, text: str) -> list[dict[str, Any]]:
        blocks = [block.model_dump(exclude_none=True, exclude={"parsed_output"}) for block in heard.raw]
        results = [{"type": "tool_result", "tool_use_id": call[0], "content": text} for call in heard.calls]
        return [{"role": "assistant", "content": blocks}, {"role": "user", "content": results}]


class Responses(Client):
    tools: ClassVar[Any] = [
        {"type": "function", "name": "bash", "description": "Run.", "strict": False, "parameters": SCHEMA}
    ]
    image: ClassVar[Any] = {
        "type": "input_image",
        "image_url": f"data:image/png;base64,{PNG}",
        "detail": "auto",
    }

    def _sdk(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.base_url}/v1", api_key="x", max_retries=0)

    def _body(self, text: str, content: Any = None, after: Any = (), **more: Any) -> dict[str, Any]:
        if more.pop("thinking", False):
            more["reasoning"] = {"effort": "high", "summary": "auto"}
        parts = [{"type": "input_text", "text": text}, *(content or ())]
        return {
            "model": self.model,
            "store": False,
            "input": [{"role": "user", "content": parts}, *after],
            **more,
        }

    @contextmanager
    def events(self, text: str, *, stream: bool, **more: Any) -> Iterator[Any]:
        body: Any = self._body(text, **more)
        with self._sdk() as sdk:
            if not stream:
                yield lambda: self._heard(sdk.responses.create(**body))
                return

            def streamed() -> Heard:
                with sdk.responses.stream(**body) as events:
                    return self._heard(events.get_final_response())

            yield streamed

    @contextmanager
    def first_event(self, text: str) -> Iterator[None]:
        with self._sdk() as sdk, sdk.responses.stream(**self._body(text)) as events:  # type: ignore[arg-type]
            next(iter(events))
            yield

    def _heard(self, done: Any) -> Heard:
        thoughts = [
            part.text
            for item in done.output if item.type == "reasoning"
            for part in [*(item.content or ()), *item.summary]
        ]  # fmt: skip
        calls = [
            (item.call_id, item.name, json.loads(item.arguments))
            for item in done.output if item.type == "function_call"
        ]  # fmt: skip
        usage = done.usage
        return Heard(
            done.output_text, "".join(thoughts), calls, done.status,
            usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens, done.output,
        )  # fmt: skip

    def result(self, heard: Heard, text: str) -> list[dict[str, Any]]:
        items = [
            json.loads(item.model_dump_json(exclude={"parsed_arguments"}, exclude_none=True))
            for item in heard.raw
        ]
        return [
            *items,
            *({"type": "function_call_output", "call_id": call[0], "output": text} for call in heard.calls),
        ]


CLIENTS: dict[str, type[Client]] = {"chat": Chat, "messages": Messages, "responses": Responses}
