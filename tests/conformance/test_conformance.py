"""Nine features on three protocols and three ways, heard with the vendors' own SDKs."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest

from tests.conformance.cells import FEATURES, PAGE, page
from tests.conformance.clients import PNG, Messages
from tests.conformance.conftest import BLIND, Cell
from tests.sim.scripts import answer, calls, cut_after, endless, status

TEXT = 'Grüße, 世界 🦀 "quoted"\n\tdata: [DONE]\n\nevent: error\n{"error":1}'
SDK_ERRORS = (openai.APIError, anthropic.APIError)
STOPS = {
    "chat": ("stop", "tool_calls"),
    "messages": ("end_turn", "tool_use"),
    "responses": ("completed", "completed"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_text(cell: Cell, stream: bool) -> None:
    cell.peer.queue(answer(TEXT, usage={"input": 20, "cache_read": 70, "output": 12}))
    heard = cell.client.ask("hi", stream=stream)
    assert heard.text == TEXT
    assert heard.stop == STOPS[cell.protocol][0]
    assert (heard.prompt, heard.cached, heard.completion) == (90, 70, 12)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_tools(cell: Cell, stream: bool) -> None:
    asked = {"command": 'printf "é\\n" > hello.txt'}
    cell.peer.queue(calls(("bash", asked)), answer("done"))
    heard = cell.client.ask("make it", stream=stream, tools=cell.client.tools)
    assert [(name, arguments) for _, name, arguments in heard.calls] == [("bash", asked)]
    assert heard.stop == STOPS[cell.protocol][1]
    after = cell.client.result(heard, "wrote 3 bytes")
    assert cell.client.ask("make it", stream=stream, tools=cell.client.tools, after=after).text == "done"
    received = cell.peer.asked()["body"]
    assert _result(received) == (heard.calls[0][0], "wrote 3 bytes")
    assert _offered(received) == ["bash"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_parallel_tools(cell: Cell, stream: bool) -> None:
    wanted = [("bash", {"command": f"step {n}" * n}) for n in (1, 2)] + [("bash", {})]
    cell.peer.queue(calls(*wanted, text="all at once", interleave=True, piece_chars=3))
    heard = cell.client.ask("go", stream=stream, tools=cell.client.tools)
    assert heard.text == "all at once"
    assert [(name, arguments) for _, name, arguments in heard.calls] == wanted
    assert len({call_id for call_id, _, _ in heard.calls}) == 3


def test_images(cell: Cell) -> None:
    cell.peer.queue(answer("a red dot"))
    assert cell.client.ask("what is it?", stream=True, content=[cell.client.image]).text == "a red dot"
    assert PNG in json.dumps(cell.peer.asked()["body"])
    if cell.way == "local":
        cell.client.model = BLIND
        assert cell.client.ask("and now?", stream=True, content=[cell.client.image]).text
        received = json.dumps(cell.peer.asked()["body"])
        assert PNG not in received
        assert "this model cannot see images" in received


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_thinking(cell: Cell, stream: bool) -> None:
    cell.peer.queue(
        calls(("bash", {"command": "ls"}), reasoning="First, look.", text="Looking."), answer("done")
    )
    heard = cell.client.ask("go", stream=stream, thinking=True, tools=cell.client.tools)
    assert (heard.thought, heard.text, len(heard.calls)) == ("First, look.", "Looking.", 1)
    after = cell.client.result(heard, "a.txt")
    assert (
        cell.client.ask("go", stream=stream, thinking=True, tools=cell.client.tools, after=after).text
        == "done"
    )
    if cell.way == "local" and cell.translated:
        turns = cell.peer.asked()["body"]["messages"]
        assert [turn.get("reasoning_content") for turn in turns if turn["role"] == "assistant"] == [
            "First, look."
        ]


def test_long(cell: Cell) -> None:
    text = "".join(f"{number:07d} " for number in range(15_000))
    cell.peer.queue(answer(text, piece_chars=160))
    assert cell.client.ask("at length", stream=True).text == text


def test_cancel(cell: Cell) -> None:
    cell.peer.queue(endless(gap_s=0.01))
    with cell.client.first_event("for ever"):
        pass
    assert cell.peer.wait_closed_early(1)


def test_error_refused(cell: Cell) -> None:
    cell.peer.queue(status(400, {"error": {"message": "no such tool", "type": "invalid_request_error"}}))
    with pytest.raises((openai.BadRequestError, anthropic.BadRequestError), match="no such tool"):
        cell.client.ask("hi", stream=True)


def test_error_over_the_limit_always_says_when_to_come_back(cell: Cell) -> None:
    for sim in (cell.stage.manifest, cell.stage.llama_swap):
        sim.script(status(429))
    with pytest.raises((openai.RateLimitError, anthropic.RateLimitError)) as raised:
        cell.client.ask("hi", stream=True)
    assert int(raised.value.response.headers["retry-after"]) >= 1


def test_error_too_long_is_said_in_words_that_the_client_acts_on(cell: Cell) -> None:
    words = "request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it"
    too_long = {"message": words, "type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 8192}
    cell.peer.queue(status(400, {"error": {**too_long, "code": 400}}))
    with pytest.raises(SDK_ERRORS) as raised:
        cell.client.ask("hi", stream=True)
    if cell.protocol == "messages":
        assert "prompt is too long: 9000 tokens > 8192 maximum" in str(raised.value)
    else:
        assert isinstance(raised.value, openai.APIError)
        assert raised.value.code == "context_length_exceeded"
        assert "maximum context length is 8192 tokens" in str(raised.value)


def test_error_in_the_middle_of_a_stream(cell: Cell) -> None:
    cell.peer.queue(cut_after(9, "error", gap_s=0.01, text="words " * 40, message="the provider broke off"))
    with pytest.raises(SDK_ERRORS, match="the provider broke off"):
        cell.client.ask("hi", stream=True)


@pytest.mark.parametrize("how", ["end", "reset"])
def test_truncated(cell: Cell, how: str) -> None:
    cell.peer.queue(cut_after(9, how, gap_s=0.01, text="words " * 40))
    with pytest.raises(SDK_ERRORS):
        cell.client.ask("hi", stream=True)


def test_a_beta_in_the_query_and_headers_of_the_callers_own_reach_the_cloud(native_stage: Any) -> None:
    native_stage.clean()
    client = Messages(native_stage.daemon.base_url, "cloud")
    with client._sdk() as sdk:
        sdk.beta.messages.create(
            model="cloud", max_tokens=5, betas=["context-management-2025-06-27"], messages=[{"role": "user", "content": "hi"}],
            extra_query={"beta": "true"}, extra_headers={"x-api-key": "sk-ant-secret", "anthropic-version": "2023-06-01"},
        )  # fmt: skip
    sent = native_stage.manifest.asked()
    headers = {name.lower(): value for name, value in sent["headers"]}
    assert (sent["path"], sent["query"]) == ("/v1/messages", {"beta": "true"})
    assert headers["anthropic-beta"] == "context-management-2025-06-27"
    assert headers["anthropic-version"] == "2023-06-01"
    assert headers["authorization"] == f"Bearer {native_stage.manifest.key}"
    assert "sk-ant-secret" not in str(sent)


def test_the_published_table_is_the_suites_own() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.conformance.cells"


def test_every_feature_of_the_table_has_a_test() -> None:
    held = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert all(any(name.startswith(feature.replace(" ", "_")) for name in held) for feature in FEATURES)


def _result(body: dict[str, Any]) -> tuple[str, str]:
    """The tool result that an upstream received: its call's id and its text."""
    if "input" in body:
        item = body["input"][-1]
        return item["call_id"], item["output"]
    last = body["messages"][-1]
    if last["role"] == "tool":
        return last["tool_call_id"], last["content"]
    return last["content"][0]["tool_use_id"], last["content"][0]["content"]


def _offered(body: dict[str, Any]) -> list[str]:
    return [tool.get("function", tool)["name"] for tool in body["tools"]]
