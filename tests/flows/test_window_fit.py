"""What is too long for the local window and may go nowhere else is sent once more, with old tool results left out."""

from __future__ import annotations

from typing import Any

from tests.daemon import Stage
from tests.sim.scripts import answer

OVERFLOW = {"error": "overflow", "n_prompt_tokens": 12_000}
WORDS = "word " * 4_000


def session(text: str) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [{"role": "user", "content": text}]
    for at in range(8):
        call = {"id": f"c{at}", "type": "function", "function": {"name": "sh", "arguments": "{}"}}
        made.append({"role": "assistant", "content": "", "tool_calls": [call]})
        made.append({"role": "tool", "tool_call_id": f"c{at}", "content": WORDS})
    return made


def test_old_results_are_left_out_where_the_alternative_is_a_refusal(stage: Stage) -> None:
    stage.llama_swap.queue(OVERFLOW, answer("it fits"))
    reply = stage.daemon.chat("local", messages=session("a long talk"))
    assert (reply.status, reply.text) == (200, "it fits")
    first, second = [
        entry["body"]["messages"] for entry in stage.llama_swap.requests() if "a long talk" in entry["text"]
    ]
    assert [one["role"] for one in first] == [one["role"] for one in second]
    assert first[2]["content"] == WORDS
    assert second[2]["content"].startswith("[an old result of 20000 characters was left out")
    assert second[-1] == first[-1]
    event = stage.daemon.event("a long talk")
    assert "old tool results left out" in event["lean_note"]


def test_where_that_is_not_enough_the_caller_is_told_in_its_own_words(stage: Stage) -> None:
    stage.llama_swap.queue(OVERFLOW)
    reply = stage.daemon.chat("local", "short in words, long in tokens")
    assert reply.status == 400
    assert reply.error["code"] == "context_length_exceeded"


def test_a_second_refusal_is_the_answer(stage: Stage) -> None:
    stage.llama_swap.queue(OVERFLOW, OVERFLOW, answer("never asked"))
    assert stage.daemon.chat("local", messages=session("twice too long")).status == 400
