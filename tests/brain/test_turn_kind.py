"""Every kind of request of the seven harnesses is taken for what it is."""

from __future__ import annotations

import pytest

from brainrouter.brain.tool_list import is_agents_own, names_in, telling_tools
from brainrouter.brain.transcript import transcript
from brainrouter.brain.turn_kind import turn_kind
from tests.brain.turns import CHAT_TOOLS, GREETING, SAMPLES, Sample, chat, user


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_each_request_is_taken_for_what_it_is(sample: Sample) -> None:
    ask = sample.ask()
    assert turn_kind(ask, transcript(ask), len(names_in(ask.body.get("tools")))) == sample.kind


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.kind == "main"], ids=lambda sample: sample.name)
def test_the_words_judged_are_the_users_own(sample: Sample) -> None:
    text = transcript(sample.ask()).user_text
    assert "<" not in text
    assert len(text) < 60


def test_a_tool_loop_of_a_thousand_messages_is_read_from_its_end() -> None:
    pair = [
        {"role": "assistant", "content": None, "tool_calls": [CHAT_CALL]},
        {"role": "tool", "tool_call_id": "c", "content": "fine"},
    ]
    ask = Sample("long", "continuation", chat(user(GREETING), *(pair * 500), tools=CHAT_TOOLS)).ask()
    talk = transcript(ask)
    assert (talk.messages, talk.open_loop) == (1002, True)
    assert len(talk.steps) <= 60


CHAT_CALL = {"id": "c", "type": "function", "function": {"name": "bash", "arguments": "{}"}}


def test_a_harness_own_tools_say_nothing_of_a_request_and_others_do() -> None:
    assert is_agents_own(["Read", "Edit", "mcp__brainrouter__request_review"])
    assert not is_agents_own(["get_weather"])
    weather = b'[{"type":"function","function":{"name":"get_weather","description":"d","parameters":{"properties":{"city":{}}}}}]'
    (tool,) = telling_tools(weather)  # pyright: ignore[reportArgumentType]
    assert (tool.name, tool.params) == ("get_weather", ("city",))
