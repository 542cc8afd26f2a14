"""What a local model was spared is on the event: tokens at once, seconds once its speed is known."""

from __future__ import annotations

from typing import Any

from tests.daemon import Stage
from tests.sim.scripts import answer, status

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "sh",
            "description": "It runs a command. " * 90,
            "parameters": {"type": "object"},
        },
    }
]


def test_the_tokens_that_were_spared_are_told(stage: Stage) -> None:
    stage.daemon.chat("local", "spare me", tools=TOOLS)
    event = stage.daemon.event("spare me")
    assert event["lean_tokens_before"] - event["lean_tokens"] > 200
    assert event["lean_note"] is None
    [asked] = [entry for entry in stage.llama_swap.requests() if "spare me" in entry["text"]]
    assert len(asked["body"]["tools"][0]["function"]["description"]) < 300


def test_a_turn_that_nobody_sent_there_by_name_is_spared_as_much(stage: Stage) -> None:
    named = stage.daemon.chat("gemma-small", "by the model's name", tools=TOOLS)
    stage.manifest.script(status(503))
    fallen = stage.daemon.chat("auto", "when the cloud is down", tools=TOOLS)
    for reply, text in ((named, "by the model's name"), (fallen, "when the cloud is down")):
        assert reply.status == 200
        event = stage.daemon.event(text)
        assert event["side"] == "local"
        assert event["lean_tokens_before"] - event["lean_tokens"] > 200


def test_seconds_are_told_once_the_model_said_how_fast_it_reads(stage: Stage) -> None:
    timings = {"prompt_n": 1000, "prompt_ms": 2000.0, "cache_n": 0, "predicted_n": 1, "predicted_ms": 1.0}
    stage.llama_swap.script(answer("yes", timings=timings))
    for stream in (True, False):
        stage.daemon.chat("local", f"how fast {stream}", stream=stream, tools=TOOLS)
    event = stage.daemon.event("how fast False")
    saved = event["lean_tokens_before"] - event["lean_tokens"]
    assert event["lean_saved_s"] == round(saved / 500, 1)


def test_a_request_to_the_cloud_is_spared_nothing(stage: Stage) -> None:
    stage.daemon.chat("cloud", "all of it", tools=TOOLS)
    event = stage.daemon.event("all of it")
    assert (event["lean_tokens_before"], event["lean_tokens"]) == (None, None)
    [asked] = [entry for entry in stage.manifest.requests() if "all of it" in entry["text"]]
    assert asked["body"]["tools"] == TOOLS
