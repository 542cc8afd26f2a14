from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.wire.json_body import BadBody
from brainrouter.wire.messages import parse_messages
from brainrouter.wire.sealed import sealed
from brainrouter.wire.translate import to_chat
from tests.wire.test_chat import leaves
from tests.wire.translated import from_messages

PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0K"}}
SH: dict[str, Any] = {
    "name": "sh",
    "description": "Run.",
    "input_schema": {"type": "object", "properties": {}},
}
LATER: dict[str, Any] = {**SH, "name": "later", "defer_loading": True}
USE = {"type": "tool_use", "id": "t1", "name": "sh", "input": {"cmd": "ls"}}
WHOLE: dict[str, Any] = {
    "model": "auto",
    "max_tokens": 50,
    "stream": True,
    "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
    "thinking": {"type": "adaptive", "display": "omitted"},
    "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    "temperature": 0.5,
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u"},
    "tools": [SH, LATER],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "context_management": {"edits": [{"type": "clear_thinking_20251015"}]},
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "look"}, PNG]},
        {"role": "system", "content": "mind the gap"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, USE]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "a"}]}
            ],
        },
    ],
}


def plain(value: Any) -> Any:
    """As it leaves: every undecoded piece decoded."""
    return msgspec.json.decode(msgspec.json.encode(value))


def messages(*turns: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return plain(from_messages(messages=list(turns), **more).messages)


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def test_a_whole_request_is_said_in_chat_completions() -> None:
    request = from_messages(**WHOLE)
    assert plain(request.messages) == [
        {"role": "system", "content": "be brief"},
        {
            "role": "user",
            "content": [
                text("look"),
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0K"}},
            ],
        },
        {"role": "system", "content": "mind the gap"},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "sh", "arguments": '{"cmd": "ls"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "a"},
    ]
    assert plain(request.fields) == {
        "temperature": 0.5,
        "max_tokens": 50,
        "stop": ["END"],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
        },
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "sh",
                    "description": "Run.",
                    "parameters": {"type": "object", "properties": {}},
                },
            }
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
    }
    assert (request.thinks, request.effort) == (True, "high")


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ("be brief", "be brief"),
        ([text("a"), text("b")], "a\n\nb"),
        ([text("x-anthropic-billing-header: cc_version=2; cch=1a2b3;"), text("You are")], "You are"),
        ("x-anthropic-billing-header: cch=1;\nYou are", "You are"),
        ("You are\n<total_tokens>5 tokens left</total_tokens>", "You are"),
        (
            "the line x-anthropic-billing-header: stays here",
            "the line x-anthropic-billing-header: stays here",
        ),
    ],
)
def test_the_system_prompt_in_every_form_without_what_changes_at_every_request(
    system: Any, said: str
) -> None:
    assert messages(user(text("hi")), system=system)[0] == {"role": "system", "content": said}


def test_a_token_marker_is_dropped_only_where_it_is_the_whole_message() -> None:
    marker = "<total_tokens>106 tokens left</total_tokens>"
    kept = messages(
        user(text("hi")), {"role": "system", "content": marker}, {"role": "system", "content": [text(marker)]}, user(text(marker)),
    )  # fmt: skip
    assert kept == [{"role": "user", "content": "hi"}, {"role": "user", "content": marker}]


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "sh"}, {"type": "function", "function": {"name": "sh"}}),
    ],
)
def test_every_tool_choice(choice: dict[str, Any], said: Any) -> None:
    assert from_messages(tools=[SH], tool_choice=choice).fields["tool_choice"] == said


def test_deferred_tools_wait_until_a_reference_names_them_and_then_come_last() -> None:
    placeholder = {**SH, "name": "DeferredToolPlaceholder"}
    tools = [LATER, placeholder, SH, {"type": "web_search_20250305", "name": "web_search"}]

    def offered(*turns: dict[str, Any]) -> list[str]:
        fields = from_messages(tools=tools, messages=[user(text("hi")), *turns]).fields
        return [tool["function"]["name"] for tool in fields["tools"]]

    reference = {"type": "tool_reference", "tool_name": "later"}
    found = user({"type": "tool_result", "tool_use_id": "t1", "content": [reference]})
    assert offered() == ["sh"]
    assert offered({"role": "assistant", "content": [USE]}, found) == ["sh", "later"]
    served = {"type": "tool_search_tool_result", "content": {"tool_references": [reference]}}
    assert offered({"role": "assistant", "content": [served]}) == ["sh", "later"]
    assert messages(found) == [
        {"role": "tool", "tool_call_id": "t1", "content": "The tool later can be called now."}
    ]


def test_parallel_results_come_right_after_the_calls_in_order_and_then_what_was_said() -> None:
    result = {"type": "tool_result", "content": "done"}
    said = messages(user(text("also"), {**result, "tool_use_id": "a"}, {**result, "tool_use_id": "b"}))
    assert [(one["role"], one.get("tool_call_id")) for one in said] == [
        ("tool", "a"),
        ("tool", "b"),
        ("user", None),
    ]


def test_a_failed_tool_says_so() -> None:
    result = {"type": "tool_result", "tool_use_id": "a", "is_error": True, "content": "no such file"}
    assert messages(user(result))[0]["content"] == "[the tool reported an error]\nno such file"


def test_the_image_a_tool_returned_is_shown_after_its_result() -> None:
    said = messages(user({"type": "tool_result", "tool_use_id": "a", "content": [PNG]}))
    assert said[0]["content"] == "[the result is the image below]"
    assert [part["type"] for part in said[1]["content"]] == ["text", "image_url"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"type": "text", "media_type": "text/plain", "data": "the facts"}, '[document "T"]\nthe facts'),
        ({"type": "content", "content": [text("part")]}, '[document "T"]\n\npart'),
        ({"type": "base64", "media_type": "application/pdf", "data": "JVBE"}, '[document "T" (application/pdf) was left out: this model reads only text]'),
        ({"type": "url", "url": "https://x/y.pdf"}, '[document "T" (https://x/y.pdf) was left out: this model reads only text]'),
    ],
)  # fmt: skip
def test_documents_are_read_or_named(source: dict[str, Any], said: str) -> None:
    assert messages(user({"type": "document", "title": "T", "source": source}))[0]["content"] == said


def test_sealed_thinking_of_others_is_dropped_and_our_own_passes() -> None:
    turn = {"role": "assistant", "content": [
        {"type": "redacted_thinking", "data": "x"}, {"type": "thinking", "thinking": "mine", "signature": sealed("")}, text("a"), text("b"),
    ]}  # fmt: skip
    assert messages(turn) == [{"role": "assistant", "content": "a\n\nb", "reasoning_content": "mine"}]


@pytest.mark.parametrize(
    ("thinking", "thinks"),
    [(None, False), ({"type": "disabled"}, False), ({"type": "enabled", "budget_tokens": 5}, True)],
)
def test_thinking_is_wanted_only_where_it_was_asked_for(thinking: Any, thinks: bool) -> None:
    assert from_messages(thinking=thinking).thinks is thinks


def test_tool_names_that_no_server_takes_are_made_fit_and_found_again() -> None:
    name = "mcp__" + "x" * 80 + ".y"
    request = from_messages(tools=[{**SH, "name": name}])
    outward = request.fields["tools"][0]["function"]["name"]
    assert len(outward) == 64
    assert request.names.inward(outward).name == name


def test_an_unknown_block_becomes_words_and_no_error() -> None:
    assert messages(user({"type": "hologram", "x": 1}))[0]["content"].startswith("[a block of type hologram")


@pytest.mark.parametrize("missing", ["messages"])
def test_a_required_field_is_named(missing: str) -> None:
    body = {name: value for name, value in WHOLE.items() if name != missing}
    with pytest.raises(BadBody, match=f"{missing}: this field is required"):
        parse_messages(json.dumps(body).encode(), {})


says = st.one_of(
    st.text(max_size=20),
    st.lists(st.one_of(st.builds(text, st.text(max_size=9)), st.sampled_from([PNG, USE])), max_size=3),
    st.none(),
)
turns = st.builds(
    lambda role, content: {"role": role, "content": content},
    st.sampled_from(["user", "assistant", "system", "developer", "tool"]),
    says,
)


@given(st.lists(turns, min_size=1, max_size=6), st.booleans())
def test_what_is_only_passed_on_says_the_same(talk: list[dict[str, Any]], escaped: bool) -> None:
    ask = parse_messages(json.dumps({"messages": talk}, ensure_ascii=escaped).encode("utf-8", "replace"), {})
    assert plain(to_chat(ask, as_came=True).messages) == plain(to_chat(ask).messages)


def test_a_text_that_is_only_passed_on_keeps_its_very_bytes() -> None:
    said = rb'"caf\u00e9 \/ \ud83d\ude00"'
    ask = parse_messages(b'{"messages":[{"role":"user","content":%b}]}' % said, {})
    assert said in msgspec.json.encode(to_chat(ask, as_came=True).messages)


odd = st.sampled_from([None, True, 0, -1.5, "", "odd", [], ["odd"], [1], {}, {"odd": 1}, [[]], [{}]])


def field_at_fault(raw: bytes) -> str | None:
    """The field that a refusal names (None when it names none); empty when the request is translated."""
    try:
        request = to_chat(parse_messages(raw, {}))
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
