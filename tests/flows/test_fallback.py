"""Before the first byte: every failure, however dressed, is answered by the other side."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon, eventually
from tests.sim.handle import SimLlamaSwap, SimManifest, SimProcess
from tests.sim.scripts import (
    Script,
    answer,
    bomb,
    cut_after,
    empty,
    error_200,
    error_first,
    fin,
    head_then,
    insert,
    redirect,
    reset,
    silence,
    sse,
    status,
    wire,
    wrong_length,
)

STUBBED = ["M100", "M101", "M102", "M200", "M302"]
FILTERED = ["M001", "M005", "M204", "M500"]
NULL_DELTA = 'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{}}]}\n\n'

BOTH: dict[str, Script] = {
    "reset": reset(),
    "fin": fin(),
    "an empty answer": empty(),
    "a 200 error": error_200(),
    "a 200 error as text": status(200, {"error": "words"}),
    "500": status(500),
    "502 with an empty body": status(502, ""),
    "503": status(503),
    "504": status(504, "<html>timeout</html>"),
    "529": status(529),
    "401": status(401),
    "402": status(402),
    "403": status(403),
    "201": status(201, {"choices": []}),
    "204": wire(b"HTTP/1.1 204 No Content\r\n\r\n", "keep"),
    "a redirect": redirect("http://127.0.0.1:9/steal"),
    "another dialect": status(
        200, {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "x"}]}
    ),
    "rubbish": status(200, "rubbish"),
    "a list": status(200, [1]),
    "no HTTP": wire(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "an unoffered coding": status(200, {"choices": []}, headers={"content-encoding": "br"}),
    "no gzip at all": status(200, {"choices": []}, headers={"content-encoding": "gzip"}),
    "a promise of more": wrong_length(10, then="close"),
}
STREAMED: dict[str, Script] = {
    "a head and silence": head_then("stall"),
    "a head and pings": head_then("stall", pings_s=0.05),
    "a head and reset": head_then("reset"),
    "a head and an end": head_then("end"),
    "an error first": error_first(),
    "rubbish first": sse("data: rubbish\n\n"),
    "invalid UTF-8 first": insert(0, b'data: {"a":"\xff"}\n\n'),
    "no object first": sse("data: [1]\n\n"),
    "nothing but [DONE]": sse("data: [DONE]\n\n"),
    "empty deltas and an end": sse(NULL_DELTA),
    "only comments": sse(": hi\n\n: there\n\n"),
    "silence": silence(),
}


def generations(sim: SimProcess) -> list[dict[str, Any]]:
    """What it was asked to generate; the daemon's own looks at its health are left out."""
    return [request for request in sim.requests() if request["method"] == "POST"]


@contextlib.contextmanager
def pair(**config: dict[str, Any]) -> Iterator[tuple[SimManifest, SimLlamaSwap, Daemon]]:
    """Two fakes and a daemon for one test, whose breakers may stay open."""
    with SimManifest() as cloud, SimLlamaSwap() as local:
        urls: Any = {"manifest": f"{cloud.url}/v1", "llama_swap": f"{local.url}/v1"}
        with Daemon(**urls, config=config) as daemon:
            yield cloud, local, daemon


def answered_locally(daemon: Daemon, text: str, *, stream: bool) -> dict[str, Any]:
    found = daemon.chat("cloud", text, stream=stream)
    assert (found.status, found.side, found.text) == (200, "local", "Hello from the sim.")
    assert found.headers["x-brainrouter-reason"] == "fallback: cloud failed"
    if stream:
        assert found.body.endswith(b"data: [DONE]\n\n")
    event = daemon.event(text)
    assert (event["status"], event["error"], event["fallback"]) == (200, None, "cloud failed")
    assert (event["decision"], event["provider"], event["model"]) == ("cloud", "llama-swap", "gemma-small")
    assert len(event["attempts"]) == 1
    assert event["attempts"][0].startswith("manifest auto: ")
    return event


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", BOTH)
def test_the_local_side_answers_for_a_cloud_that_gives(
    daemon: Daemon, manifest: SimManifest, fault: str, stream: bool
) -> None:
    manifest.script(BOTH[fault])
    answered_locally(daemon, f"{fault} {stream}", stream=stream)
    assert 1 <= len(generations(manifest)) <= 2  # a pooled connection may have been closed: sent again once


@pytest.mark.parametrize("fault", STREAMED)
def test_the_local_side_answers_for_a_stream_that_begins_with(
    daemon: Daemon, manifest: SimManifest, fault: str
) -> None:
    manifest.script(STREAMED[fault])
    answered_locally(daemon, fault, stream=True)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("code", [*STUBBED, *FILTERED])
def test_the_local_side_answers_for_a_manifest_that_says(
    daemon: Daemon, manifest: SimManifest, code: str, stream: bool
) -> None:
    manifest.script({"error": code})
    event = answered_locally(daemon, f"{code} {stream}", stream=stream)
    kinds = ("misconfigured", "budget_spent", "unauthorised", "upstream_error")
    assert any(kind in event["attempts"][0] for kind in kinds)


@pytest.mark.parametrize("form", ["old", "exhausted", "new"])
@pytest.mark.parametrize("code", [500, 503, 504])
def test_the_local_side_answers_for_a_provider_that_failed(
    daemon: Daemon, manifest: SimManifest, form: str, code: int
) -> None:
    manifest.script({"provider_error": {"status": code, "form": form, "message": "overloaded"}})
    assert "overloaded" in answered_locally(daemon, f"{form} {code}", stream=True)["attempts"][0]


def test_a_whole_answer_has_the_total_budget_and_no_more() -> None:
    with pair(limits={"total_s": 0.4}) as (cloud, _, daemon):
        cloud.script(silence())
        assert daemon.chat("cloud").side == "local"
        cloud.wait_closed_early()


def test_a_gzip_bomb_is_a_failure_and_takes_no_memory(daemon: Daemon, manifest: SimManifest) -> None:
    manifest.script(bomb(1 << 27))
    assert daemon.chat("cloud").side == "local"
    assert daemon.child is not None
    status_lines = Path(f"/proc/{daemon.child.pid}/status").read_text(encoding="ascii")
    resident = int(status_lines.split("VmRSS:")[1].split()[0])
    assert resident < 200_000


@pytest.mark.parametrize("stream", [False, True])
def test_a_cloud_that_is_not_there_at_all_falls_back(
    daemon: Daemon, manifest: SimManifest, stream: bool
) -> None:
    manifest.listen("refuse", drop=True)
    assert "unreachable" in answered_locally(daemon, f"refused {stream}", stream=stream)["attempts"][0]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "error", ["start_failed", "health_timeout", "not_ready", "shutting_down", "upstream_died", "peer"]
)
@pytest.mark.parametrize("old", [False, True])
def test_another_local_model_answers_for_one_that_fails(
    daemon: Daemon, llama_swap: SimLlamaSwap, manifest: SimManifest, error: str, old: bool, stream: bool
) -> None:
    llama_swap.queue({"error": error, "old_errors": old, "match": {"contains": "qwen-coder"}})
    text = f"{error} {old} {stream}"
    found = daemon.chat("qwen-coder", text, stream=stream)
    assert (found.status, found.side, found.text) == (200, "local", "Hello from the sim.")
    event = daemon.event(text)
    assert (event["model"], event["fallback"]) == ("gemma-small", "local model failed")
    assert generations(manifest) == []


def test_a_model_that_does_not_load_after_all_is_answered_for(
    daemon: Daemon, llama_swap: SimLlamaSwap
) -> None:
    llama_swap.queue({"loading_deltas": True, "load_error": "exited", "match": {"contains": "qwen-coder"}})
    found = daemon.chat("qwen-coder", "jokes then an error", stream=True)
    assert found.text == "Hello from the sim."
    assert b"Warming up" not in found.body
    assert b"llama-swap" not in found.body
    assert daemon.event("jokes then an error")["fallback"] == "local model failed"


def test_loading_jokes_of_a_model_that_does_load_are_not_shown(
    daemon: Daemon, llama_swap: SimLlamaSwap
) -> None:
    llama_swap.queue({"loading_deltas": True, "load_s": 0.05})
    found = daemon.chat("qwen-coder", stream=True)
    assert (found.text, found.side) == ("Hello from the sim.", "local")
    assert b"Warming up" not in found.body


def test_a_local_request_never_leaves_for_the_cloud(
    daemon: Daemon, llama_swap: SimLlamaSwap, manifest: SimManifest
) -> None:
    llama_swap.script(status(500))
    for name in ("local", "qwen-coder"):
        found = daemon.chat(name)
        assert (found.status, found.error["type"]) == (500, "server_error")
    assert generations(manifest) == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("code", [400, 404, 409, 413, 422])
def test_what_the_cloud_refuses_is_passed_on_with_its_body(
    daemon: Daemon, manifest: SimManifest, llama_swap: SimLlamaSwap, code: int, stream: bool
) -> None:
    body = {"error": {"message": "bad tool", "type": "x", "param": "tools[0]", "code": None, "more": [1]}}
    manifest.script(status(code, body))
    found = daemon.chat("auto", f"refused {code} {stream}", stream=stream)
    assert (found.status, found.json(), found.side) == (code, body, "cloud")
    assert generations(llama_swap) == []
    assert daemon.health()["breakers"] == {}
    event = daemon.event(f"refused {code} {stream}")
    assert (event["status"], event["error"]) == (code, "refused: bad tool")


@pytest.mark.parametrize("stream", [False, True])
def test_too_long_for_the_local_window_is_told_in_the_callers_words(
    daemon: Daemon, llama_swap: SimLlamaSwap, stream: bool
) -> None:
    llama_swap.script({"error": "overflow", "n_prompt_tokens": 40_000})
    found = daemon.chat("local", stream=stream)
    assert (found.status, found.error["code"]) == (400, "context_length_exceeded")
    assert "maximum context length is 8192 tokens" in found.error["message"]
    assert "40000 tokens" in found.error["message"]
    assert len(generations(llama_swap)) == 1
    assert daemon.health()["breakers"] == {}


@pytest.mark.parametrize("stream", [False, True])
def test_when_both_sides_fail_the_caller_gets_an_error_in_his_own_shape(
    daemon: Daemon, manifest: SimManifest, llama_swap: SimLlamaSwap, stream: bool
) -> None:
    manifest.script(reset())
    llama_swap.script({"error": "start_failed"})
    found = daemon.chat("cloud", f"both fail {stream}", stream=stream)
    assert found.status == 500
    assert {"message", "type", "param", "code"} <= found.error.keys()
    event = daemon.event(f"both fail {stream}")
    assert event["status"] == 500
    assert [attempt.split(":")[0] for attempt in event["attempts"]] == [
        "manifest auto",
        "llama-swap gemma-small",
    ]


@pytest.mark.parametrize(("asked", "told"), [(None, "5"), ("17", "17"), ("1e999", "5"), ("soon", "5")])
def test_a_rate_limit_without_another_side_is_passed_on_with_a_time(asked: str | None, told: str) -> None:
    with (
        SimManifest() as cloud,
        Daemon(manifest=f"{cloud.url}/v1", llama_swap="http://127.0.0.1:9/v1") as daemon,
    ):
        cloud.script(status(429, retry_after=asked))
        found = daemon.chat("cloud")
        assert (found.status, found.headers["retry-after"]) == (429, told)
        assert (found.error["type"], found.error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        cloud.script(answer())
        after = daemon.chat("cloud")
        if asked != "17":  # nobody said how long: the next request finds out
            assert (after.status, len(generations(cloud))) == (200, 2)
            return
        assert after.status == 503
        assert 1 <= int(after.headers["retry-after"]) <= int(told)
        assert len(generations(cloud)) == 1


def test_a_rate_limit_with_another_side_is_answered_there_and_honoured() -> None:
    with pair() as (cloud, _, daemon):
        cloud.script(status(429, retry_after="30"))
        assert daemon.chat("cloud").side == "local"
        cloud.script(answer())
        assert daemon.chat("cloud", "while it rests").side == "local"
        assert len(generations(cloud)) == 1
        assert "resting" in daemon.event("while it rests")["attempts"][0]


def test_three_failures_open_the_breaker_and_health_says_so() -> None:
    with pair() as (cloud, _, daemon):
        cloud.script(status(500))
        for number in range(5):
            assert daemon.chat("cloud", f"try {number}").side == "local"
        assert len(generations(cloud)) == 3
        state = daemon.health()["breakers"]["cloud"]
        assert (state["phase"], state["failures"], state["cause"]) == ("open", 3, "sim says 500")
        assert "breaker_open" in daemon.event("try 4")["attempts"][0]
        assert daemon.health()["status"] == "ok"


def test_a_cloud_that_is_killed_in_the_middle_of_the_day_is_stood_in_for_and_comes_back() -> None:
    with pair() as (cloud, _, daemon):
        assert daemon.chat("auto", "before").side == "cloud"
        cloud.kill()
        assert daemon.chat("auto", "during", stream=True).side == "local"
        cloud.start()
        assert daemon.chat("auto", "after").side == "cloud"
        story = {event["prompt_excerpt"]: event for event in daemon.events()}
        assert [story[t]["fallback"] for t in ("before", "during", "after")] == [
            None,
            "cloud failed",
            None,
        ]
        assert story["during"]["attempts"][0].startswith("manifest auto: unreachable")
        stats = daemon.get("/api/routing-stats")
        assert (stats["requests"], stats["fallbacks"], stats["errors"]) == (3, 1, 0)


def test_without_a_first_event_from_anyone_the_stream_ends_in_time_with_504(
    daemon: Daemon, manifest: SimManifest, llama_swap: SimLlamaSwap
) -> None:
    for sim in (manifest, llama_swap):
        sim.script(silence())
    found = daemon.chat("cloud", "silence all around", stream=True)
    assert (found.status, found.error["code"]) == (504, "first_byte_timeout")
    for sim in (manifest, llama_swap):
        sim.wait_closed_early()


def test_a_stream_that_broke_before_its_first_event_leaves_no_trace_of_itself(
    daemon: Daemon, manifest: SimManifest
) -> None:
    manifest.script(cut_after(1, "reset", text="never to be seen"))
    found = daemon.chat("cloud", "role only", stream=True)
    assert (found.side, found.text) == ("local", "Hello from the sim.")
    assert b"never" not in found.body
    eventually(lambda: manifest.open_connections() <= 1)
