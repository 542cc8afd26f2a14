"""The facts of a whole answer, in three dialects."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.wire.ask import Dialect
from brainrouter.wire.whole import Facts, facts_of

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["choices", "message", "content", "usage", "output", "model", "finish_reason", "prompt_tokens_details"]
    ), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def facts(dialect: Dialect, answer: dict[str, Any]) -> Facts:
    return facts_of(dialect, answer)


def chat(message: dict[str, Any], finish: str = "stop") -> dict[str, Any]:
    return {"model": "m", "choices": [{"message": message, "finish_reason": finish}]}


def test_a_chat_answer() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
    found = facts("chat", {**chat({"content": "hi"}), "usage": usage})
    assert (found.model, found.finish, found.empty) == ("m", "stop", False)
    assert (found.prompt_tokens, found.completion_tokens, found.cached_tokens) == (9, 3, 4)


def test_a_messages_answer_counts_the_cached_part_in_the_prompt() -> None:
    usage = {"input_tokens": 9, "output_tokens": 3, "cache_read_input_tokens": 4}
    found = facts("messages", {"model": "m", "content": [{}], "stop_reason": "end_turn", "usage": usage})
    assert (found.finish, found.empty, found.prompt_tokens, found.completion_tokens, found.cached_tokens) == (
        "end_turn", False, 13, 3, 4,
    )  # fmt: skip


def test_a_responses_answer() -> None:
    usage = {"input_tokens": 9, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 4}}
    found = facts("responses", {"model": "m", "output": [{}], "status": "completed", "usage": usage})
    assert (found.finish, found.empty, found.cached_tokens) == ("completed", False, 4)


@pytest.mark.parametrize(
    "message", [{"content": "x"}, {"tool_calls": [{}]}, {"function_call": {"name": "f"}}, {"refusal": "no"}]
)
def test_whatever_was_said_or_called_is_an_answer(message: dict[str, Any]) -> None:
    assert not facts("chat", chat(message)).empty


@pytest.mark.parametrize(
    "message", [{}, {"content": ""}, {"content": None}, {"content": "", "tool_calls": []}]
)
def test_nothing_said_and_nothing_called_is_empty_unless_it_was_cut_short(message: dict[str, Any]) -> None:
    assert facts("chat", chat(message)).empty
    assert not facts("chat", chat(message, "length")).empty


@given(
    st.sampled_from(["chat", "messages", "responses"]),
    st.dictionaries(st.text(max_size=8), ANY, max_size=4),
    ANY,
)
def test_a_field_of_any_shape_is_as_good_as_absent(
    dialect: Dialect, answer: dict[str, Any], inner: Any
) -> None:
    found = facts(dialect, {**answer, "choices": inner, "usage": inner, "content": inner, "output": inner})
    assert found.prompt_tokens is None or isinstance(found.prompt_tokens, int)
