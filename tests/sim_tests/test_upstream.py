"""The scripted upstream breaks exactly where it was told to."""

from __future__ import annotations

import gzip
import http.client
import json
from typing import Any

import anthropic
import openai
import pytest

from tests.sim import scripts
from tests.sim.handle import SimUpstream
from tests.sim_tests.wire import ask, chat, connect, read_all, read_until, request

CHAT = "/v1/chat/completions"
USER: Any = [{"role": "user", "content": "hi"}]


def body_of(data: bytes) -> bytes:
    """The body of a chunked answer."""
    rest, body = data.split(b"\r\n\r\n", 1)[1], b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return body


def test_the_openai_sdk_reads_parallel_calls_in_odd_sse(upstream: SimUpstream) -> None:
    named = (("read", {"path": "é\u2028"}), ("list", {}))
    odd = {"sse": ["crlf", "comments", "bom", "nospace"], "slice": 1, "interleave": True}
    upstream.script(scripts.calls(*named, reasoning="so", **odd))
    client = openai.OpenAI(base_url=upstream.url + "/v1", api_key="x", max_retries=0)
    with client, client.chat.completions.stream(model="m", messages=USER) as stream:
        message = stream.get_final_completion().choices[0].message
    assert [json.loads(call.function.arguments) for call in message.tool_calls or ()] == [named[0][1], {}]


def test_the_openai_sdk_reads_responses_both_ways(upstream: SimUpstream) -> None:
    upstream.script(scripts.calls(("read", {"a": 1}), text="on it", reasoning="so"))
    with openai.OpenAI(base_url=upstream.url + "/v1", api_key="x", max_retries=0) as client:
        whole = client.responses.create(model="m", input="hi")
        with client.responses.stream(model="m", input="hi") as stream:
            streamed = stream.get_final_response()
    assert [item.type for item in whole.output] == [item.type for item in streamed.output]
    assert whole.output_text == streamed.output_text == "on it"


def test_the_anthropic_sdk_reads_messages_both_ways(upstream: SimUpstream) -> None:
    upstream.script(scripts.calls(("read", {"a": 1}), text="on it", reasoning="so", usage={"cache_read": 9}))
    with anthropic.Anthropic(base_url=upstream.url, api_key="x", max_retries=0) as client:
        whole = client.messages.create(model="m", max_tokens=9, messages=USER)
        with client.messages.stream(model="m", max_tokens=9, messages=USER) as stream:
            streamed = stream.get_final_message()
    assert [block.type for block in whole.content] == ["thinking", "text", "tool_use"]
    assert [block.type for block in streamed.content] == ["thinking", "text", "tool_use"]
    assert streamed.usage.cache_read_input_tokens == 9


def test_scripts_are_used_once_and_a_choosy_one_waits_for_its_request(upstream: SimUpstream) -> None:
    upstream.queue({**scripts.answer("for b"), "match": {"contains": "needle"}}, scripts.answer("first"))
    assert b"first" in ask(upstream.port, CHAT, chat())
    assert b"for b" in ask(upstream.port, CHAT, chat(user="needle"))
    assert b"Hello" in ask(upstream.port, CHAT, chat())


def test_a_reset_in_mid_stream_comes_after_the_events_that_were_sent(upstream: SimUpstream) -> None:
    upstream.script(scripts.cut_after(3, "reset"))
    with connect(upstream.port) as sock:
        sock.sendall(request(CHAT, chat(stream=True)))
        assert b"from t" in read_until(sock, b"from t")
        with pytest.raises(ConnectionResetError):
            read_all(sock)


def test_a_fin_leaves_the_framing_open_and_an_end_closes_it(upstream: SimUpstream) -> None:
    upstream.queue(scripts.cut_after(2, "fin"), scripts.cut_after(2, "end"))
    torn, ended = (ask(upstream.port, CHAT, chat(stream=True)) for _ in range(2))
    assert not torn.endswith(b"0\r\n\r\n")
    assert ended.endswith(b"0\r\n\r\n")
    assert b"[DONE]" not in torn + ended


def test_a_stall_can_be_released_by_a_gate(upstream: SimUpstream) -> None:
    upstream.script(scripts.cut_after(2, "gate"))
    with connect(upstream.port) as sock:
        sock.sendall(request(CHAT, chat(stream=True), headers={"connection": "close"}))
        read_until(sock, b"Hello")
        upstream.release()
        assert b"[DONE]" in read_all(sock)


def test_every_split_of_a_stream_gives_the_same_bytes(upstream: SimUpstream) -> None:
    whole = body_of(ask(upstream.port, CHAT, chat(stream=True))).replace(b"sim-0", b"sim-N")
    for number, split in enumerate((1, 7, 300), start=1):
        upstream.queue(scripts.answer(split_at=[split]))
        data = body_of(ask(upstream.port, CHAT, chat(stream=True)))
        assert data.replace(b"sim-%d" % number, b"sim-N") == whole


def test_a_gzip_body_opens_into_the_answer(upstream: SimUpstream) -> None:
    upstream.script(scripts.answer(gzip=True))
    assert b"Hello" in gzip.decompress(body_of(ask(upstream.port, CHAT, chat(stream=True))))


def test_raw_bytes_carry_rubbish_unchanged(upstream: SimUpstream) -> None:
    upstream.queue(scripts.insert(1, b"data: \xff{oops\n\n"), scripts.wrong_length(+5, then="close"))
    assert b"data: \xff{oops\n\n" in ask(upstream.port, CHAT, chat(stream=True))
    assert b"content-length: 12\r\n" in ask(upstream.port, CHAT, chat())


@pytest.mark.parametrize(("path", "mark"), [(CHAT, b'data: {"error"'), ("/v1/messages", b"event: error\n")])
def test_an_error_can_be_the_first_event_in_the_words_of_the_protocol(
    upstream: SimUpstream, path: str, mark: bytes
) -> None:
    upstream.script(scripts.error_first())
    assert body_of(ask(upstream.port, path, chat(stream=True))).startswith(mark)


def test_a_status_has_its_body_and_headers(upstream: SimUpstream) -> None:
    upstream.queue(
        scripts.status(429, retry_after="7"), scripts.redirect("http://elsewhere/"), scripts.error_200()
    )
    assert b"retry-after: 7" in ask(upstream.port, CHAT, chat())
    assert b"location: http://elsewhere/" in ask(upstream.port, CHAT, chat())
    assert ask(upstream.port, CHAT, chat()).startswith(b"HTTP/1.1 200")


def test_the_listener_refuses_resets_and_comes_back(upstream: SimUpstream) -> None:
    upstream.listen("refuse")
    with pytest.raises(ConnectionRefusedError):
        ask(upstream.port, CHAT, chat())
    upstream.listen("reset")
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        ask(upstream.port, CHAT, chat())
    upstream.listen("open")
    assert b" 200 " in ask(upstream.port, CHAT, chat())


def test_a_killed_upstream_comes_back_on_its_port() -> None:
    with SimUpstream() as sim:
        port = sim.port
        sim.kill()
        with pytest.raises(ConnectionRefusedError):
            connect(port)
        assert sim.restart_same_port().port == port
        assert b" 200 " in ask(port, CHAT, chat())
