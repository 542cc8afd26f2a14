"""Counting tokens: exact where the model runs already, an estimate otherwise, and nothing is ever started for it."""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.daemon import Answer, Stage
from tests.sim.scripts import silence, status

PATH = "/v1/messages/count_tokens?beta=true"
BODY: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "one two three four"}]}


def count(stage: Stage, **changes: Any) -> Answer:
    return stage.daemon.send("POST", PATH, {**BODY, **changes})


def counts(stage: Stage) -> list[dict[str, Any]]:
    return [entry for entry in stage.llama_swap.requests() if entry["path"].startswith("/upstream/")]


def running(stage: Stage) -> list[Any]:
    """What llama-swap runs, asked of itself."""

    connection = http.client.HTTPConnection("127.0.0.1", stage.llama_swap.port, timeout=10)
    connection.request("GET", "/running")
    found = json.loads(connection.getresponse().read())["running"]
    connection.close()
    return found


def test_a_model_that_runs_counts_with_its_own_tokenizer(stage: Stage) -> None:
    stage.daemon.chat("local", "load it")
    answer = count(stage)
    [asked] = counts(stage)
    assert answer.status == 200
    assert answer.json()["input_tokens"] == len(json.dumps(asked["body"]).split())
    assert asked["path"] == "/upstream/gemma-small/v1/chat/completions/input_tokens"


def test_a_count_never_starts_a_model(stage: Stage) -> None:
    answer = count(stage)
    assert answer.json()["input_tokens"] > 0
    assert counts(stage) == []
    assert running(stage) == []


def test_a_count_for_another_model_than_the_loaded_one_swaps_nothing(stage: Stage) -> None:
    stage.daemon.chat("gemma-small", "load it")
    assert count(stage, model="qwen-coder").json()["input_tokens"] > 0
    assert [row["model"] for row in running(stage)] == ["gemma-small"]


def test_a_burst_of_counts_is_answered_whole(stage: Stage) -> None:
    stage.daemon.chat("local", "load it")
    with ThreadPoolExecutor(26) as pool:
        answers = list(pool.map(lambda _: count(stage), range(26)))
    assert [answer.status for answer in answers] == [200] * 26
    assert len({answer.json()["input_tokens"] for answer in answers}) == 1


@pytest.mark.parametrize(
    "broken", [status(500), status(200, {"odd": 1}), silence()], ids=["500", "odd", "silent"]
)
def test_a_tokenizer_that_does_not_answer_is_replaced_by_an_estimate(stage: Stage, broken: Any) -> None:
    stage.daemon.chat("local", "load it")
    stage.llama_swap.queue(
        {**broken, "match": {"path": "/upstream/gemma-small/v1/chat/completions/input_tokens"}}
    )
    assert count(stage).json()["input_tokens"] > 0
    assert len(counts(stage)) == 1


def test_counts_leave_no_events(stage: Stage) -> None:
    before = stage.daemon.events()
    count(stage)
    assert stage.daemon.events() == before


def test_a_body_that_cannot_be_read_is_refused_in_anthropics_words(stage: Stage) -> None:
    answer = stage.daemon.send("POST", PATH, {"model": "auto"})
    assert (answer.status, answer.error) == (
        400,
        {"type": "invalid_request_error", "message": "messages: this field is required"},
    )
