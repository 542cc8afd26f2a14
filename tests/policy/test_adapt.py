"""Conversations made fit for every local chat template, without losing a word."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.policy.adapt import adapt, text_of

WORDS = st.text(min_size=1, max_size=12).filter(lambda text: bool(text.strip()))
PART = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, WORDS),
    st.just({"type": "image_url", "image_url": {"url": "data:,"}}),
)
CONTENT = st.one_of(WORDS, st.just(""), st.none(), st.lists(PART, max_size=3))
MESSAGE = st.builds(
    lambda role, content: {"role": role, "content": content},
    st.sampled_from(["system", "developer", "user", "assistant", "tool"]),
    CONTENT,
)
TALK = st.lists(MESSAGE, max_size=9)


def undecoded(talk: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same talk as a request has it of which only the messages were taken apart."""
    return [
        {**message, "content": msgspec.Raw(msgspec.json.encode(message["content"]))}
        if isinstance(message["content"], str) and message["content"] and message["role"] != "tool"
        else message
        for message in talk
    ]


def said(*roles_and_texts: str) -> list[dict[str, Any]]:
    pairs = zip(roles_and_texts[::2], roles_and_texts[1::2], strict=True)
    return [{"role": role, "content": text} for role, text in pairs]


def reminder(text: str) -> str:
    return f"<system-reminder>\n{text}\n</system-reminder>"


@given(TALK)
def test_there_is_at_most_one_system_message_and_only_at_the_head(talk: list[dict[str, Any]]) -> None:
    roles = [message["role"] for message in adapt(talk)]
    assert "developer" not in roles
    assert roles.count("system") <= 1
    assert "system" not in roles[1:]


@given(TALK)
def test_no_text_is_lost(talk: list[dict[str, Any]]) -> None:
    together = "\n".join(text_of(message["content"]) for message in adapt(talk))
    for message in talk:
        assert text_of(message["content"]) in together


@given(TALK)
def test_undecoded_text_is_adapted_as_decoded_text_is(talk: list[dict[str, Any]]) -> None:
    assert msgspec.json.encode(adapt(undecoded(talk))) == msgspec.json.encode(adapt(talk))


@given(TALK)
def test_tool_messages_pass_untouched_and_in_order(talk: list[dict[str, Any]]) -> None:
    def tools(messages: list[dict[str, Any]]) -> list[Any]:
        return [message["content"] or "" for message in messages if message["role"] == "tool"]

    assert tools(adapt(talk)) == tools(talk)


@given(TALK)
def test_nothing_of_the_request_itself_is_changed(talk: list[dict[str, Any]]) -> None:
    before = copy.deepcopy(talk)
    adapt(talk)
    assert talk == before


@given(TALK)
def test_adapting_twice_changes_nothing_more(talk: list[dict[str, Any]]) -> None:
    once = adapt(talk)
    assert adapt(once) == once


@given(TALK)
def test_no_two_user_turns_meet_that_did_not_meet_before(talk: list[dict[str, Any]]) -> None:
    def pairs(roles: list[str]) -> int:
        return sum(a == b == "user" for a, b in itertools.pairwise(roles))

    kept = [m["role"] for m in talk if m["role"] not in ("system", "developer")]
    assert pairs([m["role"] for m in adapt(talk)]) <= pairs(kept)


@given(TALK)
def test_no_content_is_null(talk: list[dict[str, Any]]) -> None:
    assert all(message["content"] is not None for message in adapt(talk))


def test_system_messages_at_the_head_are_joined_and_a_developer_is_a_system() -> None:
    assert adapt(said("system", "a", "developer", "b", "user", "c")) == said("system", "a\n\nb", "user", "c")


def test_a_later_system_message_becomes_a_reminder_in_the_turn_before_it() -> None:
    assert adapt(said("user", "a", "system", "b", "assistant", "c")) == said(
        "user", f"a\n\n{reminder('b')}", "assistant", "c"
    )


def test_a_system_message_before_a_user_turn_goes_into_that_turn() -> None:
    assert adapt(said("user", "a", "assistant", "b", "system", "c", "user", "d")) == said(
        "user", "a", "assistant", "b", "user", f"{reminder('c')}\n\nd"
    )


def test_a_system_message_never_parts_a_tool_call_from_its_result() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    result = {"role": "tool", "tool_call_id": "1", "content": "done"}
    found = adapt([*said("user", "a"), call, *said("system", "b"), result, *said("assistant", "c")])
    assert found == [
        *said("user", "a"), {**call, "content": ""}, result, *said("user", reminder("b"), "assistant", "c"),
    ]  # fmt: skip


def test_a_reminder_is_a_part_where_the_turn_is_made_of_parts() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    found = adapt([{"role": "user", "content": [image]}, *said("system", "b")])
    assert found == [{"role": "user", "content": [image, {"type": "text", "text": reminder("b")}]}]


@pytest.mark.parametrize("content", ["", "  \n", None, []])
def test_a_later_system_message_that_says_nothing_leaves_nothing(content: Any) -> None:
    assert adapt([*said("user", "a"), {"role": "system", "content": content}]) == said("user", "a")


def test_an_assistant_turn_of_tool_calls_only_gets_empty_text() -> None:
    assert adapt([{"role": "assistant", "tool_calls": [1]}]) == [
        {"role": "assistant", "tool_calls": [1], "content": ""}
    ]
