"""Where a request goes by the name it asks for, through the real daemon."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.daemon import Daemon, chat_body
from tests.sim.handle import SimLlamaSwap, SimManifest
from tests.sim.scripts import answer, calls


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("name", "side", "upstream_model"),
    [
        ("auto", "cloud", "auto"),
        ("brainrouter/auto", "cloud", "auto"),
        ("cloud", "cloud", "auto"),
        ("brainrouter/cloud", "cloud", "auto"),
        ("claude-sonnet-4-6", "cloud", "auto"),
        ("local", "local", "gemma-small"),
        ("brainrouter/local", "local", "gemma-small"),
        ("qwen-coder", "local", "qwen-coder"),
        ("coder", "local", "qwen-coder"),
        ("brainrouter/mystery", "local", "mystery"),
    ],
)
def test_a_name_leads_to_its_side(
    daemon: Daemon,
    manifest: SimManifest,
    llama_swap: SimLlamaSwap,
    name: str,
    side: str,
    upstream_model: str,
    stream: bool,
) -> None:
    text = f"where does {name} go, {stream}"
    found = daemon.chat(name, text, stream=stream)
    assert (found.status, found.side) == (200, side)
    assert found.text == "Hello from the sim."
    asked = {"cloud": manifest, "local": llama_swap}[side].asked()
    assert (asked["body"]["model"], asked["body"].get("stream", False)) == (upstream_model, stream)
    event = daemon.event(text)
    assert (event["requested_model"], event["decision"], event["stream"]) == (name, side, stream)
    assert (event["status"], event["error"], event["fallback"], event["attempts"]) == (200, None, None, [])
    assert event["stage"] in ("explicit", "heads")
    assert event["reason"]
    assert 0 < event["first_byte_ms"] <= event["total_ms"]
    if not (side == "cloud" and stream):  # the caller did not ask the cloud for usage
        assert (event["prompt_tokens"], event["completion_tokens"]) == (12, 7)
    assert event["finish"] == "stop"


def test_the_real_model_is_told_in_headers_and_event(daemon: Daemon) -> None:
    found = daemon.chat("cloud", "who answers")
    assert found.headers["x-brainrouter-model"] == "claude-sonnet-4-6"
    assert found.headers["x-manifest-provider"] == "anthropic"
    event = daemon.event("who answers")
    assert (event["model"], event["provider"]) == ("claude-sonnet-4-6", "manifest: anthropic")
    assert daemon.event("who answers")["decide_ms"] < 200


def test_the_cloud_gets_the_callers_own_bytes(daemon: Daemon, manifest: SimManifest) -> None:
    raw = b'{ "model":"auto", "messages":[ {"role":"user","content":"\\u00fc", "x": 1.0e2} ],\n"future": {"a":[null]} }'
    assert daemon.send("POST", "/v1/chat/completions", raw).status == 200
    assert manifest.asked()["text"] == raw.decode()


def test_unknown_fields_reach_both_sides_untouched(
    daemon: Daemon, manifest: SimManifest, llama_swap: SimLlamaSwap
) -> None:
    extra: dict[str, Any] = {
        "future": {"deep": [1, None, {"x": "ü"}]},
        "logit_bias": {"1": -100},
        "chat_template_kwargs": {"a": True},
    }
    for name, sim in (("claude-x", manifest), ("local", llama_swap)):
        assert daemon.chat(name, **extra).status == 200
        body = sim.asked()["body"]
        assert {key: body[key] for key in extra} == extra


def test_tools_go_out_and_calls_come_back_whole_and_streamed(
    daemon: Daemon, llama_swap: SimLlamaSwap
) -> None:
    tools = [{"type": "function", "function": {"name": "sh", "parameters": {"type": "object"}}}]
    llama_swap.script(calls(("sh", {"cmd": "ls"}), ("sh", {"cmd": "pwd"})))
    whole = daemon.chat("local", "use tools", tools=tools).json()
    assert [json.loads(c["function"]["arguments"]) for c in whole["choices"][0]["message"]["tool_calls"]] == [
        {"cmd": "ls"}, {"cmd": "pwd"},
    ]  # fmt: skip
    assert llama_swap.asked()["body"]["tools"] == tools
    assert b'"tool_calls"' in daemon.chat("local", "stream tools", tools=tools, stream=True).body
    assert daemon.event("stream tools")["finish"] == "tool_calls"


def test_the_key_and_the_session_go_to_manifest_and_the_callers_key_does_not(
    daemon: Daemon, manifest: SimManifest
) -> None:
    body = chat_body("cloud")
    daemon.send(
        "POST", "/v1/chat/completions", body, authorization="Bearer sk-mine-12345678", x_session_id="s-7"
    )
    headers = dict(manifest.asked()["headers"])
    headers = {name.lower(): value for name, value in headers.items()}
    assert headers["authorization"] == f"Bearer {manifest.key}"
    assert headers["x-session-key"] == "s-7"
    assert "sk-mine" not in str(headers)
    assert headers["accept-encoding"] == "identity"
    assert "transfer-encoding" not in headers


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("side", ["cloud", "local"])
def test_an_answer_that_was_packed_unasked_is_unpacked(
    daemon: Daemon, manifest: SimManifest, llama_swap: SimLlamaSwap, side: str, stream: bool
) -> None:
    for sim in (manifest, llama_swap):
        sim.script(answer("packed and fine", gzip=True))
    found = daemon.chat(side, stream=stream)
    assert found.text == "packed and fine"
    assert "content-encoding" not in found.headers


def test_a_heavy_system_prompt_goes_lean_to_the_local_side_and_whole_to_the_cloud(
    daemon: Daemon, manifest: SimManifest, llama_swap: SimLlamaSwap
) -> None:
    heavy = "You are careful. " * 500 + "\n# Environment\nWorking directory: /p"
    talk = [{"role": "system", "content": heavy}, {"role": "user", "content": "hi"}]
    for name in ("local", "cloud"):
        assert daemon.chat(name, messages=talk).status == 200
    lean = llama_swap.asked()["body"]["messages"][0]["content"]
    assert len(lean) < 4000
    assert lean.startswith("You are a coding agent")
    assert lean.endswith("Working directory: /p")
    assert manifest.asked()["body"]["messages"] == talk
