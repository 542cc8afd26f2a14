"""The fake Manifest is as misleading as the real one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sim import scripts
from tests.sim.handle import SimManifest
from tests.sim_tests.wire import ask, chat, connect, read_all

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
KEY = f"Bearer {SimManifest.key}"


def asked(manifest: SimManifest, body: Any, path: str = CHAT, **headers: str) -> tuple[str, str]:
    """Head (lower case) and body of one answer."""
    data = ask(manifest.port, path, body, **{"authorization": KEY, **headers}).decode()
    head, _, rest = data.partition("\r\n\r\n")
    return head.lower(), rest


def test_an_answer_names_its_route(manifest: SimManifest) -> None:
    head, body = asked(manifest, chat())
    assert "x-manifest-tier: default" in head
    assert "x-manifest-provider: anthropic" in head
    assert json.loads(body)["model"] == "claude-sonnet-4-6"


def test_only_authorization_is_read(manifest: SimManifest) -> None:
    data = ask(manifest.port, MESSAGES, chat(), x_api_key=SimManifest.key)
    assert data.startswith(b"HTTP/1.1 401")
    assert b'"code": "manifest_auth"' in data


def test_a_chunked_body_is_refused_with_411(manifest: SimManifest) -> None:
    with connect(manifest.port) as sock:
        head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n"
        sock.sendall(head.encode() + b"\r\n0\r\n\r\n")
        assert read_all(sock).startswith(b"HTTP/1.1 411")


@pytest.mark.parametrize("code", ["M100", "M101", "M102", "M200"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_stub_of_the_router_is_200_with_headers_either_way(
    manifest: SimManifest, code: str, stream: bool
) -> None:
    manifest.script({"error": code})
    head, body = asked(manifest, chat(stream=stream))
    assert head.startswith("http/1.1 200")
    assert "x-manifest-provider: manifest" in head
    assert f"[🦚 Manifest {code}]" in body


@pytest.mark.parametrize(("code", "status"), [("M005", 401), ("M204", 402), ("M300", 400), ("M500", 500)])
def test_an_error_of_the_filter_is_a_status_or_a_chat_shaped_200_without_headers(
    manifest: SimManifest, code: str, status: int
) -> None:
    manifest.script({"error": code})
    assert asked(manifest, chat(), MESSAGES)[0].startswith(f"http/1.1 {status}")
    for body, accept in ((chat(stream=True), "*/*"), (chat(), "text/event-stream")):
        head, text = asked(manifest, body, MESSAGES, accept=accept)
        assert head.startswith("http/1.1 200")
        assert "x-manifest" not in head
        assert "chat.completion" in text


def test_a_rate_limit_is_429_without_retry_after(manifest: SimManifest) -> None:
    manifest.script({"error": "M203"})
    head, body = asked(manifest, chat(stream=True))
    assert head.startswith("http/1.1 429")
    assert "retry-after" not in head
    assert json.loads(body)["error"]["type"] == "rate_limit_error"


def test_its_own_limits_hold_when_switched_on() -> None:
    with SimManifest(limits=True) as manifest:
        codes = [ask(manifest.port, CHAT, chat(), authorization=KEY)[9:12] for _ in range(201)]
    assert codes == [b"200"] * 200 + [b"429"]


def test_an_unknown_explicit_model_is_a_stub_and_a_known_one_is_direct(manifest: SimManifest) -> None:
    assert "model_not_available" in asked(manifest, {**chat(), "model": "gpt-9"})[0]
    assert "x-manifest-tier: direct" in asked(manifest, {**chat(), "model": "openai/gpt-5-mini"})[0]


@pytest.mark.parametrize(
    ("form", "mark"), [("exhausted", '"fallback_exhausted"'), ("new", '"fallback_exhausted": true')]
)
def test_a_chain_that_ended_says_so_in_header_and_body(manifest: SimManifest, form: str, mark: str) -> None:
    manifest.script({"provider_error": {"status": 529, "form": form, "exhausted": True}})
    head, body = asked(manifest, chat())
    assert head.startswith("http/1.1 529")
    assert "x-manifest-fallback-exhausted: true" in head
    assert mark in body


def test_momentum_needs_a_session_key(manifest: SimManifest) -> None:
    manifest.script({"complexity": True})
    hard = {
        "model": "auto",
        "messages": [{"role": "user", "content": "refactor the scheduler, mind the deadlock"}],
    }
    asked(manifest, hard, x_session_key="s1")
    assert "x-manifest-reason: momentum" in asked(manifest, chat(), x_session_key="s1")[0]
    assert "x-manifest-reason: short_message" in asked(manifest, chat())[0]


def test_tools_are_called_once_then_text_follows_the_result(manifest: SimManifest) -> None:
    manifest.script(scripts.answer("done", use_tools=True))
    schema = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    tools = [{"type": "function", "function": {"name": "read", "parameters": schema}}]
    first = json.loads(asked(manifest, chat(tools=tools))[1])["choices"][0]["message"]["tool_calls"][0]
    assert json.loads(first["function"]["arguments"]) == {"path": "example"}
    turns = [*chat()["messages"], {"role": "tool", "tool_call_id": first["id"], "content": "x"}]
    message = json.loads(asked(manifest, {"model": "auto", "messages": turns, "tools": tools})[1])["choices"][
        0
    ]
    assert message["message"]["content"] == "done"
    assert "tool_calls" not in message["message"]


@pytest.mark.parametrize(
    ("path", "mark"), [(CHAT, "data: [DONE]"), (MESSAGES, "event: error"), (RESPONSES, "event: error")]
)
def test_a_failure_in_mid_stream_is_told_in_each_protocol(
    manifest: SimManifest, path: str, mark: str
) -> None:
    manifest.script(scripts.cut_after(3, "error"))
    body = {"model": "auto", "messages": [{"role": "user", "content": "x"}], "input": "x", "stream": True}
    text = asked(manifest, body, path)[1]
    assert mark in text
    assert "the provider broke off" in text


def test_health_and_setup_tell_their_states(manifest: SimManifest) -> None:
    manifest.script({"draining": True, "needs_setup": True})
    with connect(manifest.port) as sock:
        sock.sendall(b"GET /api/v1/health HTTP/1.1\r\nhost: x\r\n\r\n")
        sock.sendall(b"GET /api/v1/setup/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        data = read_all(sock)
    assert data.startswith(b"HTTP/1.1 503")
    assert b'"needsSetup": true' in data
