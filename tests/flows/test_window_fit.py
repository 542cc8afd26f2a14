"""What is too long for the local window and may go nowhere else is sent with old tool results left out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.daemon import Stage
from tests.sim.scripts import answer

OVERFLOW = {"error": "overflow", "n_prompt_tokens": 36_000}
WORDS = "word " * 4_000


def session(text: str, words: str = WORDS) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [{"role": "user", "content": text}]
    for at in range(8):
        call = {"id": f"c{at}", "type": "function", "function": {"name": "sh", "arguments": "{}"}}
        made.append({"role": "assistant", "content": "", "tool_calls": [call]})
        made.append({"role": "tool", "tool_call_id": f"c{at}", "content": words})
    return made


def test_old_results_are_left_out_where_the_alternative_is_a_refusal(stage: Stage) -> None:
    stage.llama_swap.queue(OVERFLOW, answer("it fits"))
    reply = stage.daemon.chat("qwen-coder", messages=session("a long talk"))
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
    assert stage.daemon.chat("qwen-coder", messages=session("twice too long")).status == 400


def asked(stage: Stage, text: str) -> list[list[dict[str, Any]]]:
    return [entry["body"]["messages"] for entry in stage.llama_swap.requests() if text in entry["text"]]


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_known_to_be_too_long_is_not_sent_to_be_refused(stage: Stage, stream: bool) -> None:
    """The model's window has 8,192 tokens, the talk some 12,000."""
    text, words = f"foreseen {stream}", "word " * 1_600
    reply = stage.daemon.chat("gemma-small", messages=session(text, words), stream=stream)
    assert reply.status == 200
    [sent] = asked(stage, text)
    whole = session(text, words)
    assert [one["role"] for one in sent] == [one["role"] for one in whole]
    left_out = [at for at, one in enumerate(sent) if str(one["content"]).startswith("[an old result")]
    assert left_out == [at for at, one in enumerate(whole) if one["role"] == "tool"][: len(left_out)]
    assert sent[-1] == whole[-1]
    assert "old tool results left out" in stage.daemon.event(text)["lean_note"]


def test_where_the_estimate_was_too_low_more_is_left_out(stage: Stage) -> None:
    stage.llama_swap.queue({"error": "overflow", "n_prompt_tokens": 9_500}, answer("it fits"))
    talk = session("too low", "word " * 1_200)
    assert stage.daemon.chat("gemma-small", messages=talk).text == "it fits"
    first, second = asked(stage, "too low")
    counts = [str(one).count("an old result") for one in (first, second)]
    assert 0 < counts[0] < counts[1]


def test_what_cannot_be_made_to_fit_is_sent_as_it_is_and_the_server_has_the_last_word(stage: Stage) -> None:
    talk = [{"role": "user", "content": "no results " + "word " * 12_000}]
    assert stage.daemon.chat("gemma-small", messages=talk).status == 200
    assert asked(stage, "no results") == [talk]


def test_a_long_data_url_is_an_image_and_not_a_long_talk(stage: Stage) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 60_000}}
    stage.daemon.chat(
        "gemma-small", messages=[*session("an image", "ok"), {"role": "user", "content": [image]}]
    )
    [sent] = asked(stage, "an image")
    assert "left out" not in str(sent)
