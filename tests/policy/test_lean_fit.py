"""A conversation that is too long for the window loses old tool results, and nothing else."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from brainrouter.policy.lean.fit import LATEST, trimmed

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
