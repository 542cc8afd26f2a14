"""The end of a conversation, of which no more is read than the decision asks about."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.brain.transcript import TAIL, Step, transcript
from brainrouter.wire.chat import parse_chat

CALL = {"id": "c", "type": "function", "function": {"name": "sh", "arguments": "{}"}}
# What each message is to the reader.
ROWS: list[tuple[dict[str, Any], list[Step]]] = [
    ({"role": "user", "content": "fix it"}, [Step("user", "fix it")]),
    ({"role": "user", "content": [{"type": "text", "text": "and test"}]}, [Step("user", "and test")]),
    ({"role": "user", "content": "<system-reminder>\nbe brief\n</system-reminder>"}, []),
    ({"role": "assistant", "content": "done"}, [Step("assistant", "done")]),
    ({"role": "assistant", "content": " "}, []),
    ({"role": "assistant", "content": None, "tool_calls": [CALL]}, [Step("call", "{}", "sh", "c")]),
    ({"role": "tool", "content": "out", "tool_call_id": "c"}, [Step("result", "out", "", "c")]),
    ({"role": "system", "content": "you are"}, []),
]


@given(st.lists(st.sampled_from(ROWS), min_size=1, max_size=TAIL))
def test_what_is_asked_of_the_end_is_what_the_whole_would_say(
    rows: list[tuple[dict[str, Any], list[Step]]],
) -> None:
    talk = transcript(parse_chat(json.dumps({"messages": [row for row, _ in rows]}).encode(), {}))
    steps = [step for _, told in rows for step in told]
    users = [at for at, step in enumerate(steps) if step.kind == "user"]
    assert talk.messages == len(rows)
    assert talk.open_loop is (bool(steps) and steps[-1].kind == "result")
    assert talk.first is all(step.kind == "user" for step in steps)
    assert talk.user_text == (steps[users[-1]].text if users else "")
    assert list(talk.since_user()) == (steps[users[-1] + 1 :] if users else steps)


@pytest.mark.parametrize("turns", [1, 10, 500])
def test_a_long_talk_is_read_no_further_than_the_users_last_words(turns: int) -> None:
    talk = [ROWS[0][0], ROWS[3][0]] * turns + [ROWS[1][0]]
    found = transcript(parse_chat(json.dumps({"messages": talk}).encode(), {}))
    assert [step.text for step in found.steps] == ["done", "and test"]
