"""After the first byte: no fallback, and a stream that broke never looks complete. And clients that leave."""

from __future__ import annotations

import json
import socket
import struct

import pytest

from tests.daemon import Daemon, chat_body, eventually
from tests.sim.handle import SimLlamaSwap, SimManifest
from tests.sim.scripts import Script, answer, cut_after, endless, huge_line, insert, silence, wire

LONG = "one two three four five six seven eight"
BREAKS: dict[str, Script] = {
    "reset": cut_after(4, "reset", text=LONG, gap_s=0.01),
    "fin": cut_after(4, "fin", text=LONG, gap_s=0.01),
    "a clean end without the terminal event": cut_after(4, "end", text=LONG, gap_s=0.01),
    "an error event": cut_after(4, "error", text=LONG, gap_s=0.01),
    "a stall": cut_after(4, "stall", text=LONG, gap_s=0.01),
    "a stall with pings": cut_after(4, "stall", text=LONG, gap_s=0.01, pings_s=0.05),
    "rubbish JSON": insert(4, b"data: {rubbish\n\n", text=LONG, gap_s=0.01),
    "invalid UTF-8": insert(4, b'data: {"a":"\xff"}\n\n', text=LONG, gap_s=0.01),
    "no object": insert(4, b"data: 3\n\n", text=LONG, gap_s=0.01),
    "a bare error": insert(4, b'{"src":"llama-swap","error":{"message":"died"}}\n', text=LONG, gap_s=0.01),
    "an endless line": insert(4, b"data: " + b"x" * (5 << 20), text=LONG, gap_s=0.01),
}


@pytest.mark.parametrize("side", ["cloud", "local"])
@pytest.mark.parametrize("fault", BREAKS)
def test_a_stream_that_breaks_ends_with_an_error_and_never_as_if_whole(
    daemon: Daemon, manifest: SimManifest, llama_swap: SimLlamaSwap, side: str, fault: str
) -> None:
    sims = {"cloud": manifest, "local": llama_swap}
    sims[side].script(BREAKS[fault])
    text = f"{side} {fault}"
    found = daemon.chat(side, text, stream=True)
    assert (found.status, found.side) == (200, side)
    assert b"[DONE]" not in found.body
    events = found.events()
    assert events[-1]["error"]["message"]
    assert b'"finish_reason":"stop"' not in found.body
    assert found.text
    assert LONG.startswith(found.text)
    event = daemon.event(text)
    assert event["status"] == 200
    assert event["error"]
    assert (event["fallback"], event["attempts"]) == (None, [])
    other = sims["local" if side == "cloud" else "cloud"]
    assert [request for request in other.requests() if request["method"] == "POST"] == []
    name = "cloud" if side == "cloud" else "local:gemma-small"
    assert daemon.health()["breakers"][name]["failures"] == 1


def test_a_line_without_end_takes_no_memory(daemon: Daemon, llama_swap: SimLlamaSwap) -> None:
    llama_swap.script(huge_line(64 << 20))
    found = daemon.chat("local", "64 MB in one line", stream=True)
    assert b"aaaaaaaa" not in found.body


def head(length: int | None = None) -> bytes:
    framing = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n" + framing + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def chat_chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


WHOLE = chat_chunk({"content": "all of it"}) + chat_chunk({}, "stop") + b"data: [DONE]\n\n"


@pytest.mark.parametrize("ending", ["stall", "reset", "close"])
def test_an_answer_that_is_whole_is_no_failure_whatever_its_connection_does_then(
    daemon: Daemon, llama_swap: SimLlamaSwap, ending: str
) -> None:
    llama_swap.queue(answer(), {"do": "answer"})
    daemon.chat("local", "load it first")
    llama_swap.reset()
    llama_swap.queue(wire(head() + chunk(WHOLE), then=ending))
    text = f"whole, then {ending}"
    found = daemon.chat("local", text, stream=True)
    assert found.text == "all of it"
    assert found.body.count(b"[DONE]") == 1
    assert found.body.endswith(b"data: [DONE]\n\n")
    event = daemon.event(text)
    assert (event["status"], event["error"], event["finish"]) == (200, None, "stop")
    assert daemon.health()["breakers"] == {}


def test_a_client_that_leaves_once_it_has_all_of_the_answer_is_answered(
    daemon: Daemon, llama_swap: SimLlamaSwap
) -> None:
    llama_swap.script(wire(head() + chunk(WHOLE), then="stall"))
    with daemon.open_stream("local", "read to [DONE], then leave") as client:
        read_until(client, b"[DONE]")
    event = daemon.event("read to [DONE], then leave")
    assert (event["status"], event["error"], event["finish"]) == (200, None, "stop")


def read_until(client: socket.socket, mark: bytes) -> bytes:
    got = b""
    while mark not in got:
        data = client.recv(65536)
        assert data, got
        got += data
    return got


def leave(client: socket.socket, how: str) -> None:
    if how == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def gone(daemon: Daemon, text: str) -> None:
    event = daemon.event(text)
    assert (event["status"], event["error"]) == (499, "the client left")
    eventually(lambda: daemon.health()["in_flight"] == 0)
    assert daemon.health()["breakers"] == {}


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("side", ["cloud", "local"])
def test_a_client_that_leaves_before_the_first_byte_closes_the_upstream(
    daemon: Daemon, manifest: SimManifest, llama_swap: SimLlamaSwap, side: str, how: str
) -> None:
    sim = {"cloud": manifest, "local": llama_swap}[side]
    sim.script(silence())
    text = f"left before {side} {how}"
    client = daemon.open_stream(side, text)
    eventually(lambda: any(request["method"] == "POST" for request in sim.requests()))
    leave(client, how)
    sim.wait_closed_early(timeout=1.0)
    gone(daemon, text)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("side", ["cloud", "local"])
def test_a_client_that_leaves_in_the_middle_closes_the_upstream(
    daemon: Daemon, manifest: SimManifest, llama_swap: SimLlamaSwap, side: str, how: str
) -> None:
    sim = {"cloud": manifest, "local": llama_swap}[side]
    sim.script(endless(gap_s=0.01))
    text = f"left amid {side} {how}"
    client = daemon.open_stream(side, text)
    read_until(client, b"xxxxx")
    running = daemon.get("/api/inference-status")
    assert running["active"] == 1
    assert running["requests"][0]["phase"] == "generating"
    assert running["requests"][0]["prompt"] == text
    leave(client, how)
    sim.wait_closed_early(timeout=1.0)
    gone(daemon, text)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("side", ["cloud", "local"])
def test_a_client_that_leaves_a_whole_answer_closes_the_upstream(
    daemon: Daemon, manifest: SimManifest, llama_swap: SimLlamaSwap, side: str, how: str
) -> None:
    sim = {"cloud": manifest, "local": llama_swap}[side]
    sim.script(silence())
    text = f"left whole {side} {how}"
    client = daemon.open_request(json.dumps(chat_body(side, text)).encode())
    eventually(lambda: any(request["method"] == "POST" for request in sim.requests()))
    leave(client, how)
    sim.wait_closed_early(timeout=1.0)
    gone(daemon, text)


@pytest.mark.parametrize("slice_bytes", [1, 7])
@pytest.mark.parametrize("style", [[], ["crlf"], ["cr"], ["nospace"], ["comments"], ["multiline"]])
def test_however_the_stream_is_cut_into_pieces_the_text_is_the_same(
    daemon: Daemon, llama_swap: SimLlamaSwap, slice_bytes: int, style: list[str]
) -> None:
    said = "Grüße, 世界, 🦚 und שלום"
    llama_swap.script(answer(said, slice=slice_bytes, sse=style))
    found = daemon.chat("local", stream=True)
    assert b"[DONE]" in found.body
    if not {"cr", "crlf", "nospace", "multiline"} & set(style):
        assert found.text == said
