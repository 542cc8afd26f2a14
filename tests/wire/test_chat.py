from __future__ import annotations

import copy
import json
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.wire.chat import ChatMessage, parse_chat
from brainrouter.wire.json_body import BadBody
from brainrouter.wire.prompt_text import last_user_text

VALID: dict[str, Any] = {
    "model": "auto",
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 100,
    "temperature": 0.2,
    "stop": ["x"],
    "tool_choice": "auto",
    "tools": [{"type": "function", "function": {"name": "sh", "parameters": {"type": "object"}}}],
    "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "hello"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "sh", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
    ],
    "future_field": {"kept": [1, 2]},
}


def body(**changes: Any) -> bytes:
    return json.dumps({**VALID, **changes}).encode()


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += leaves(inner, (*path, key))
    return found


def field_at_fault(raw: bytes) -> str:
    """The field that a refusal names; empty when the request passes and can be read. Nothing else may be raised."""
    try:
        ask = parse_chat(raw, {})
    except BadBody as refused:
        return refused.param or "the body"
    assert ask.body
    last_user_text(ask)
    return ""


def test_a_valid_request_is_read_without_touching_what_is_not_known() -> None:
    ask = parse_chat(body(), {"x-session-id": "s1", "user-agent": "opencode/1.18.33"})
    assert (ask.model, ask.stream, ask.session, ask.harness) == ("auto", True, "s1", "opencode")
    assert bytes(ask.body["future_field"]) == b'{"kept": [1, 2]}'
    roles = [message.role for message in ask.turns or ()]
    assert roles == ["system", "user", "assistant", "tool"]
    assert ask.turns
    assert cast(ChatMessage, ask.turns[3]).tool_call_id == "c1"


@pytest.mark.parametrize(
    "raw", [b'{"messages":[{"role":"user","content":"x"}]}', body(model=None), body(model="")]
)
def test_a_missing_model_is_auto(raw: bytes) -> None:
    assert parse_chat(raw, {}).model == "auto"


def test_any_role_and_unknown_fields_pass() -> None:
    ask = parse_chat(body(messages=[{"role": "critic", "content": "x", "odd": 1}]), {})
    assert [turn.role for turn in ask.turns or ()] == ["critic"]


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"messages": 3}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": ["x"]}, "messages[0]"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": None, "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": {}}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [1]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "assistant", "tool_calls": "x"}]}, "messages[0].tool_calls"),
        ({"messages": [{"role": "assistant", "tool_calls": [4]}]}, "messages[0].tool_calls[0]"),
        ({"tools": "x"}, "tools"),
        ({"tools": [{}, 7]}, "tools[1]"),
        ({"stream": "yes"}, "stream"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"model": 4}, "model"),
    ],
)
def test_a_wrong_type_is_refused_naming_the_field(changes: dict[str, Any], param: str) -> None:
    with pytest.raises(BadBody) as refused:
        parse_chat(body(**changes), {})
    assert refused.value.param == param
    assert refused.value.message.startswith(param)


def test_messages_that_are_not_there_are_named() -> None:
    with pytest.raises(BadBody) as refused:
        parse_chat(b"{}", {})
    assert refused.value.param == "messages"


@pytest.mark.parametrize("path", leaves(VALID), ids=str)
@pytest.mark.parametrize("wrong", [None, True, 3, 1e999, "x", [], {}, [1], {"a": 1}], ids=repr)
def test_every_leaf_mutated_once_passes_or_names_a_field(path: tuple[Any, ...], wrong: Any) -> None:
    mutated = copy.deepcopy(VALID)
    node = mutated
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = wrong
    raw = json.dumps(mutated).replace("Infinity", "1e999").encode()
    fault = field_at_fault(raw)
    assert not fault or fault.startswith(str(path[0]))


@given(st.binary())
def test_arbitrary_bytes_as_messages_never_raise_anything_else(junk: bytes) -> None:
    field_at_fault(b'{"messages":' + junk + b"}")
