"""A conversation that is too long for the window loses old tool results, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.policy.lean.fit import LATEST, foreseen, trimmed
from brainrouter.wire.token_estimate import text_tokens

MARK = "an old result of"


def talk(sizes: list[int], said: int = 10) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "word " * said},
    ]
    for at, size in enumerate(sizes):
        call = {"id": f"c{at}", "type": "function", "function": {"name": "sh", "arguments": "{}"}}
        messages += [
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"c{at}", "content": "word " * size},
        ]
    return messages


def cut(messages: list[dict[str, Any]]) -> list[int]:
    return [at for at, message in enumerate(messages) if MARK in str(message["content"])]


def test_the_oldest_results_go_first_and_the_latest_never() -> None:
    messages = talk([2000] * 10)
    found = trimmed(messages, 22_000, 20_000)
    assert found is not None
    made, count = found
    results = [at for at, message in enumerate(messages) if message["role"] == "tool"]
    assert cut(made) == results[:count]
    assert 0 < count < 10 - LATEST
    assert trimmed(messages, 22_000, 1_000) is None, "not even all old results would be enough"


def test_a_conversation_without_old_results_cannot_be_made_to_fit() -> None:
    assert trimmed(talk([5000] * LATEST), 9_000, 8_000) is None
    assert trimmed(talk([], said=9_000), 9_000, 8_000) is None


def test_it_is_cut_at_the_same_place_for_several_turns() -> None:
    places: list[int] = []
    for turns in range(20, 36):
        found = trimmed(talk([500] * turns), 550 * turns, 10_000)
        assert found is not None
        places.append(found[1])
    assert places == sorted(places)
    assert len(set(places)) <= 6, "the prefix would be lost at nearly every turn"


@given(
    st.lists(st.integers(0, 3000), max_size=12),
    st.integers(1, 60_000),
    st.integers(1, 60_000),
    st.integers(0, 500),
)
def test_pairs_stay_whole_and_only_results_are_touched(
    sizes: list[int], asked: int, fits: int, said: int
) -> None:
    messages = talk(sizes, said)
    found = trimmed(messages, asked, fits)
    if found is None:
        return
    made, count = found
    assert len(made) == len(messages)
    changed = [at for at, message in enumerate(messages) if made[at] != message]
    assert changed == cut(made)
    assert len(changed) == count > 0
    for at in changed:
        assert messages[at]["role"] == "tool"
        assert made[at]["tool_call_id"] == messages[at]["tool_call_id"]


def test_what_seems_to_fit_is_left_as_it_is_and_what_does_not_is_cut_until_it_seems_to() -> None:
    messages = talk([500] * 20)
    size = text_tokens(msgspec.json.encode(messages))
    assert foreseen(messages, round(size) + 50, 0.0) == (messages, 0)
    made, count = foreseen(messages, round(size) + 50, 2_000.0)
    assert count > 0
    assert text_tokens(msgspec.json.encode(made)) + 2_000 < size + 50
    assert foreseen(made, round(size) + 50, 2_000.0) == (made, 0)


def test_tools_that_take_most_of_the_window_do_not_make_a_cut_look_larger_than_it_is() -> None:
    messages = talk([400] * 10)
    size = text_tokens(msgspec.json.encode(messages))
    found = trimmed(messages, round(size) + 6_000, round(size) + 5_000, 6_000.0)
    assert found is not None
    spared = size - text_tokens(msgspec.json.encode(found[0]))
    assert spared >= 1_000
