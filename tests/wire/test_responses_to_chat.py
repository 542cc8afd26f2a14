from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.wire.chat_request import CannotTranslate
from brainrouter.wire.json_body import BadBody
from brainrouter.wire.responses import parse_responses
from brainrouter.wire.translate import to_chat
from tests.wire.test_chat import leaves
from tests.wire.test_messages_to_chat import odd, plain
from tests.wire.translated import from_responses

REVIEW = {"type": "function", "name": "request_review", "parameters": {"type": "object"}}
SPACE: dict[str, Any] = {
    "type": "namespace",
    "name": "mcp__brainrouter",
    "description": "d",
    "tools": [REVIEW],
}
WHOLE: dict[str, Any] = {
    "model": "auto",
    "stream": True,
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "instructions": "be brief",
    "reasoning": {"effort": "medium", "summary": "auto"},
    "prompt_cache_key": "s1",
    "client_metadata": {"session_id": "s1"},
    "max_output_tokens": 70,
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
    "tools": [
        {"type": "function", "name": "shell", "description": "Run.", "strict": False, "parameters": {"type": "object"}},
        SPACE,
        {"type": "custom", "name": "apply_patch", "description": "Edit.", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
        {"type": "web_search", "external_web_access": True},
    ],
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "rules"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "look"}, {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "on it", "annotations": []}]},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "request_review", "namespace": "mcp__brainrouter", "arguments": "{\"a\":1}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": "*** Begin"},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "fine"}, {"type": "input_image", "image_url": "https://x/y.png"}]},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "done"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"role": "user", "content": "go on"},
    ],
}  # fmt: skip


def messages(*items: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return plain(from_responses(input=list(items), **more).messages)


def test_a_whole_request_is_said_in_chat_completions() -> None:
    request = from_responses(**WHOLE)
    calls = [
        {
            "id": "c1",
            "type": "function",
            "function": {"name": "mcp__brainrouter__request_review", "arguments": '{"a":1}'},
        },
        {
            "id": "c2",
            "type": "function",
            "function": {"name": "apply_patch", "arguments": '{"input":"*** Begin"}'},
        },
    ]
    assert plain(request.messages) == [
        {"role": "system", "content": "be brief"},
        {"role": "system", "content": "rules"},
        {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}}]},
        {"role": "assistant", "content": "on it", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c1", "content": "fine"},
        {"role": "tool", "tool_call_id": "c2", "content": "done"},
        {"role": "user", "content": [{"type": "text", "text": "[image from the result of c1]"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
        {"role": "user", "content": "go on"},
    ]  # fmt: skip
    fields = plain(request.fields)
    assert [tool["function"]["name"] for tool in fields.pop("tools")] == [
        "shell", "mcp__brainrouter__request_review", "apply_patch",
    ]  # fmt: skip
    assert fields == {
        "max_tokens": 70,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
        },
    }
    assert (request.thinks, request.effort) == (None, "medium")


def test_a_free_text_tool_takes_one_argument_and_tells_its_grammar() -> None:
    [tool] = plain(from_responses(tools=[WHOLE["tools"][2]]).fields["tools"])
    assert tool["function"]["parameters"]["required"] == ["input"]
    assert "start: x" in tool["function"]["description"]


def test_tools_that_come_as_an_input_item_are_offered() -> None:
    item = {"type": "additional_tools", "role": "developer", "tools": [SPACE]}
    request = from_responses(input=[item, {"role": "user", "content": "hi"}])
    assert [tool["function"]["name"] for tool in request.fields["tools"]] == [
        "mcp__brainrouter__request_review"
    ]


def test_deferred_tools_are_offered_once_a_search_found_them() -> None:
    search = {
        "type": "tool_search",
        "execution": "client",
        "description": "d",
        "parameters": {"type": "object"},
    }
    late = {**SPACE, "tools": [{**REVIEW, "defer_loading": True}]}

    def names(*items: dict[str, Any]) -> list[str]:
        request = from_responses(tools=[search, late], input=[{"role": "user", "content": "hi"}, *items])
        return [tool["function"]["name"] for tool in request.fields["tools"]]

    call = {
        "type": "tool_search_call",
        "call_id": "c",
        "execution": "client",
        "arguments": {"query": "review"},
    }
    found = {"type": "tool_search_output", "call_id": "c", "execution": "client", "tools": [late]}
    assert names() == ["tool_search"]
    assert names(call, found) == ["tool_search", "mcp__brainrouter__request_review"]


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("required", "required"),
        ({"type": "function", "name": "shell"}, {"type": "function", "function": {"name": "shell"}}),
        (
            {"type": "custom", "name": "apply_patch"},
            {"type": "function", "function": {"name": "apply_patch"}},
        ),
        ({"type": "web_search"}, "auto"),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "shell"}]},
            "required",
        ),
    ],
)
def test_every_tool_choice(choice: Any, said: Any) -> None:
    assert from_responses(tools=WHOLE["tools"], tool_choice=choice).fields["tool_choice"] == said


def test_allowed_tools_leave_the_others_out() -> None:
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "shell"}]}
    assert len(from_responses(tools=WHOLE["tools"], tool_choice=choice).fields["tools"]) == 1


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "prompt"])
def test_what_leans_on_a_servers_memory_cannot_be_said(name: str) -> None:
    with pytest.raises(CannotTranslate, match=name):
        from_responses(**{name: "resp_1" if name == "previous_response_id" else {"id": "x"}})


def test_no_effort_means_no_thinking() -> None:
    assert from_responses(reasoning={"effort": "none"}).thinks is False


def test_a_shell_of_openais_own_is_read_as_a_call() -> None:
    call = {"type": "local_shell_call", "call_id": "c", "action": {"type": "exec", "command": ["ls"]}}
    output = {"type": "local_shell_call_output", "call_id": "c", "output": "a.txt"}
    said = messages({"role": "user", "content": "hi"}, call, output)
    assert json.loads(said[1]["tool_calls"][0]["function"]["arguments"])["command"] == ["ls"]
    assert said[2] == {"role": "tool", "tool_call_id": "c", "content": "a.txt"}


def test_two_tools_that_would_share_a_name_do_not() -> None:
    tools = [
        {"type": "function", "name": "a__b"},
        {"type": "namespace", "name": "a", "tools": [{"type": "function", "name": "b"}]},
    ]
    request = from_responses(tools=tools)
    first, second = (tool["function"]["name"] for tool in request.fields["tools"])
    assert (request.names.inward(first).namespace, request.names.inward(second).namespace) == (None, "a")


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "input"), ({"input": []}, "input"), ({"input": 5}, "input"), ({"input": [1]}, "input[0]")],
)
def test_a_body_that_cannot_be_read_names_the_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(BadBody) as refused:
        parse_responses(json.dumps(body).encode(), {})
    assert refused.value.param == field


def field_at_fault(raw: bytes) -> str | None:
    """The field that a refusal names (None when it names none); empty when the request is translated."""
    try:
        request = to_chat(parse_responses(raw, {}))
    except BadBody as refused:
        return refused.param
    msgspec.json.encode([request.messages, request.fields])
    return ""


@given(st.sampled_from(leaves(WHOLE)), odd)
def test_one_wrong_leaf_is_translated_or_refused_by_name_and_nothing_else_happens(
    path: Any, value: Any
) -> None:
    body = copy.deepcopy(WHOLE)
    at: Any = body
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    assert field_at_fault(json.dumps(body).encode()) is not None
