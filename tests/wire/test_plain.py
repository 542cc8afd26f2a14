"""One pass over a request of the usual shape says what checking it field by field says."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from brainrouter.wire import chat, messages, responses
from brainrouter.wire.json_body import BadBody

TOOL = {"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}
BODIES: dict[str, tuple[ModuleType, dict[str, Any]]] = {
    "chat": (
        chat,
        {
            "model": "cloud",
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "hi"}]},
                {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function"}]},
                {"role": "tool", "content": "out", "tool_call_id": "c"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "tools": [TOOL],
            "tool_choice": "auto",
            "temperature": 0.2,
            "max_tokens": 10,
            "stop": ["x"],
            "parallel_tool_calls": False,
            "response_format": {"type": "text"},
            "prompt_cache_key": "s-1",
        },
    ),
    "messages": (
        messages,
        {
            "model": "claude-x",
            "system": [{"type": "text", "text": "be"}],
            "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [{"type": "text"}]}],
            "max_tokens": 10,
            "stop_sequences": ["x"],
            "thinking": {"type": "enabled"},
            "metadata": {"user_id": '{"session_id":"s-1"}'},
            "tools": [TOOL],
            "tool_choice": {"type": "auto"},
        },
    ),
    "responses": (
        responses,
        {
            "model": "gpt-x",
            "instructions": "be",
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}, {"type": "reasoning"}],
            "store": False,
            "include": [],
            "reasoning": {"effort": "low"},
            "tools": [TOOL],
            "prompt_cache_key": "s-1",
            "max_output_tokens": 5,
        },
    ),
}  # fmt: skip
VALUES: tuple[Any, ...] = (None, True, 1, 1.5, "x", "", [], {}, [1], ["x"], [{}], {"a": 1}, [None], 10**400)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a body, itself left out."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield (*path, key)
        yield from places(item, (*path, key))


def variants(body: dict[str, Any]) -> Iterator[bytes]:
    """The body as it is, and with one place changed or left out."""
    yield json.dumps(body).encode()
    for *above, last in places(body):
        for value in (*VALUES, ...):
            changed = copy.deepcopy(body)
            node: Any = changed
            for key in above:
                node = node[key]
            if value is ...:
                del node[last]
            else:
                node[last] = value
            yield json.dumps(changed, ensure_ascii=False).encode()


def told(parse: Any, raw: bytes, headers: dict[str, str]) -> Any:
    """What a parser says of a body: the facts of its Ask, or whether it was refused."""
    try:
        ask = parse(raw, headers)
    except BadBody:
        return "refused"
    if ask.fields is not None:  # they stand for the body's
        rest = {name: ask.body[name] for name in ask.body.keys() - {"model", "stream", "messages"}}
        assert {name: bytes(value) for name, value in ask.fields.items()} == {
            name: bytes(value) for name, value in rest.items()
        }
    return ask.model, ask.stream, ask.session, ask.harness, dict(ask.body)


@pytest.mark.parametrize("dialect", BODIES)
def test_both_ways_of_reading_a_request_agree(dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, body = BODIES[dialect]
    parse = getattr(module, f"parse_{dialect}")
    headers = {"user-agent": "opencode/1.0"}
    raws = list(variants(body))
    one_pass = [told(parse, raw, headers) for raw in raws]
    monkeypatch.setattr(module, "read_plain", lambda raw, decoder: None)
    for raw, found in zip(raws, one_pass, strict=True):
        assert told(parse, raw, headers) == found, raw


def test_the_usual_shape_of_each_dialect_is_read_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    for dialect, (module, body) in BODIES.items():
        monkeypatch.setattr(module, "parse_object", None)
        assert getattr(module, f"parse_{dialect}")(json.dumps(body).encode(), {}).turns
