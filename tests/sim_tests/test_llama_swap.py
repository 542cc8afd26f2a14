"""The fake llama-swap is in the states that matter when told to be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sim import scripts
from tests.sim.handle import SimLlamaSwap
from tests.sim_tests.wire import ask, chat, connect, read_all, read_until, request

CHAT = "/v1/chat/completions"


def local(*, stream: bool = False, model: str = "qwen-coder") -> dict[str, Any]:
    """A request for a local model."""
    return {**chat(stream=stream), "model": model}


def asked(sim: SimLlamaSwap, body: Any = None) -> bytes:
    """One chat request."""
    return ask(sim.port, CHAT, local() if body is None else body, content_type="application/json")


def got(sim: SimLlamaSwap, path: str) -> Any:
    """One GET as JSON."""
    with connect(sim.port) as sock:
        sock.sendall(request(path, method="GET", headers={"connection": "close"}))
        return json.loads(read_all(sock).split(b"\r\n\r\n", 1)[1])


def test_models_tell_context_and_capabilities_only_where_configured(llama_swap: SimLlamaSwap) -> None:
    rows = {row["id"]: row for row in got(llama_swap, "/v1/models")["data"]}
    assert rows["qwen-coder"]["context_length"] == 32768
    assert rows["qwen-coder"]["meta"]["llamaswap"]["aliases"] == ["coder"]
    assert "context_length" not in rows["mystery"]


def test_an_alias_loads_the_model_and_running_shows_it(llama_swap: SimLlamaSwap) -> None:
    assert got(llama_swap, "/running") == {"running": []}
    assert b" 200 " in asked(llama_swap, local(model="coder"))
    assert [(row["model"], row["state"]) for row in got(llama_swap, "/running")["running"]] == [
        ("qwen-coder", "ready")
    ]


def test_a_load_blocks_without_a_byte_and_running_says_starting(llama_swap: SimLlamaSwap) -> None:
    llama_swap.script(scripts.answer(load_gate="load"))
    with connect(llama_swap.port) as sock:
        sock.sendall(
            request(CHAT, local(), headers={"content-type": "application/json", "connection": "close"})
        )
        llama_swap.wait_requests(1)
        assert got(llama_swap, "/running")["running"][0]["state"] == "starting"
        assert got(llama_swap, "/v1/models")["data"][0]["status"]["value"] == "loaded"
        llama_swap.release("load")
        assert b"Hello" in read_all(sock)


def test_loading_deltas_have_no_ids_and_a_failed_load_appends_bare_json(llama_swap: SimLlamaSwap) -> None:
    llama_swap.script(scripts.answer(loading_deltas=True, load_error="upstream command exited prematurely"))
    data = asked(llama_swap, local(stream=True))
    assert data.startswith(b"HTTP/1.1 200")
    assert b'data: {"choices":[{"delta":{"reasoning_content":' in data
    assert b'\n{"src":"llama-swap","error":{' in data
    assert b'data: {"src"' not in data


def test_loading_deltas_are_followed_by_the_answer(llama_swap: SimLlamaSwap) -> None:
    llama_swap.script(scripts.answer(loading_deltas=True))
    data = asked(llama_swap, local(stream=True))
    assert b"Done!" in data
    assert data.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    ("error", "status"),
    [("start_failed", 500), ("not_ready", 503), ("concurrency", 429), ("peer", 502), ("overflow", 400)],
)
def test_each_error_has_its_status(llama_swap: SimLlamaSwap, error: str, status: int) -> None:
    llama_swap.script({"error": error})
    data = asked(llama_swap)
    assert data.startswith(b"HTTP/1.1 %d" % status)
    assert (b"retry-after: 1" in data) == (error == "concurrency")


def test_errors_come_in_the_old_shape_too(llama_swap: SimLlamaSwap) -> None:
    llama_swap.script({"old_errors": True})
    data = asked(llama_swap, local(model="nobody"))
    assert json.loads(data.split(b"\r\n\r\n", 1)[1]) == {
        "src": "llama-swap",
        "error": "no router for requested model",
    }


def test_a_dead_process_is_502_with_nothing(llama_swap: SimLlamaSwap) -> None:
    llama_swap.script({"error": "upstream_died"})
    data = asked(llama_swap)
    assert data.startswith(b"HTTP/1.1 502")
    assert data.endswith(b"\r\n\r\n")


def test_a_truncated_stream_looks_like_a_clean_end(llama_swap: SimLlamaSwap) -> None:
    llama_swap.script(scripts.cut_after(3, "end"))
    data = asked(llama_swap, local(stream=True))
    assert data.endswith(b"0\r\n\r\n")
    assert b"[DONE]" not in data


def test_events_are_json_in_json_and_follow_a_load(llama_swap: SimLlamaSwap) -> None:
    with connect(llama_swap.port) as sock:
        sock.sendall(request("/api/events", method="GET"))
        read_until(sock, b"inflight")
        asked(llama_swap)
        line = read_until(sock, b"ready").split(b"data:")[-1].split(b"\n\n")[0]
    assert json.loads(json.loads(line)["data"])[0]["state"] == "ready"


def test_an_api_key_closes_everything_but_health() -> None:
    with SimLlamaSwap("--api-key", "secret") as sim:
        with connect(sim.port) as sock:
            sock.sendall(request("/health", method="GET") + request("/running", method="GET"))
            data = read_until(sock, b"unauthorized")
        assert data.startswith(b"HTTP/1.1 200")
        assert b"HTTP/1.1 401" in data
