"""A local model that writes its tool call as text: the harness gets a call, in its own protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon import Answer, Daemon, Stage
from tests.sim.handle import SimLlamaSwap, SimManifest
from tests.sim.scripts import answer

SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
CALL = '{"name": "bash", "arguments": {"command": "ls -l"}}'
NOTE = "a tool call written as text was read as one: bash"
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}


@pytest.fixture(scope="module")
def standing() -> Iterator[Stage]:
    """A stage whose knob keeps everything local that nothing else decides."""
    with Stage(llama_swap={"fallback_model": "gemma-small"}, decision={"knob": 9.0}) as stage:
        yield stage


def ask(daemon: Daemon, dialect: str, text: str, *, model: str, stream: bool, tools: bool = True) -> Answer:
    function = {"name": "bash", "description": "run", "parameters": SCHEMA}
    offered: dict[str, Any] = {
        "chat": {"type": "function", "function": function},
        "messages": {"name": "bash", "description": "run", "input_schema": SCHEMA},
        "responses": {"type": "function", **function},
    }
    body: dict[str, Any] = {"model": model, "stream": stream, "max_tokens": 99}
    if dialect == "responses":
        body = {"model": model, "stream": stream, "input": text}
    else:
        body["messages"] = [{"role": "user", "content": text}]
    if tools:
        body["tools"] = [offered[dialect]]
    return daemon.send("POST", PATHS[dialect], body)


def called(dialect: str, found: Answer, *, stream: bool) -> tuple[str, Any, str]:
    """The name and the arguments of the one tool call in an answer, and why the answer ended."""
    if dialect == "chat":
        return _called_in_chat(found, stream=stream)
    if dialect == "messages":
        return _called_in_messages(found, stream=stream)
    body = found.events()[-1]["response"] if stream else found.json()
    (call,) = [item for item in body["output"] if item["type"] == "function_call"]
    assert not [item for item in body["output"] if item["type"] == "message"]
    return call["name"], json.loads(call["arguments"]), body["status"]


def _called_in_chat(found: Answer, *, stream: bool) -> tuple[str, Any, str]:
    if stream:
        choices = [choice for event in found.events() for choice in event["choices"]]
        (call,) = [one for choice in choices for one in choice["delta"].get("tool_calls", ())]
        assert found.text == ""
        ends = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
    else:
        (call,) = found.json()["choices"][0]["message"]["tool_calls"]
        ends = [found.json()["choices"][0]["finish_reason"]]
    assert call["id"].startswith("call_")
    return call["function"]["name"], json.loads(call["function"]["arguments"]), ends[0]


def _called_in_messages(found: Answer, *, stream: bool) -> tuple[str, Any, str]:
    if not stream:
        (block,) = found.json()["content"]
        return block["name"], block["input"], found.json()["stop_reason"]
    events = found.events()
    (begun,) = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    (end,) = [event["delta"]["stop_reason"] for event in events if event["type"] == "message_delta"]
    return begun["name"], json.loads("".join(delta["partial_json"] for delta in deltas)), end


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["auto", "local"])
@pytest.mark.parametrize(
    ("dialect", "ends"), [("chat", "tool_calls"), ("messages", "tool_use"), ("responses", "completed")]
)
def test_a_call_written_as_text_becomes_a_call(
    daemon: Daemon,
    manifest: SimManifest,
    llama_swap: SimLlamaSwap,
    dialect: str,
    ends: str,
    model: str,
    stream: bool,
) -> None:
    llama_swap.script(answer(CALL))
    text = f"list them {dialect} {model} {stream}"
    found = ask(daemon, dialect, text, model=model, stream=stream)
    assert (found.status, found.side) == (200, "local")
    assert called(dialect, found, stream=stream) == ("bash", {"command": "ls -l"}, ends)
    event = daemon.event(text)
    assert (event["mended"], event["escalation"], event["side"]) == (NOTE, None, "local")
    assert manifest.requests() == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "said",
    [
        f"```json\n{CALL}\n```",
        f"<tool_call>\n{CALL}\n</tool_call>",
        "<function=bash>\n<parameter=command>\nls -l\n</parameter>\n</function>",
        f"[TOOL_CALLS] [{CALL}]",
    ],
)
def test_every_way_of_writing_it_is_read(
    daemon: Daemon, llama_swap: SimLlamaSwap, said: str, stream: bool
) -> None:
    llama_swap.script(answer(said))
    found = ask(daemon, "chat", f"list {said}"[:60], model="local", stream=stream)
    assert called("chat", found, stream=stream) == ("bash", {"command": "ls -l"}, "tool_calls")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "said",
    [
        "{ is a brace, and that is all there is to say of it",
        '{"name": "bash", "arguments": {"wrong": 1}}',
        '{"name": "erase", "arguments": {"command": "ls"}}',
        f"{CALL} lists the files.",
        "<tool_call>never closed",
        f"As asked: {CALL}",
    ],
)
def test_what_is_not_beyond_doubt_passes_as_it_is(
    daemon: Daemon, llama_swap: SimLlamaSwap, said: str, stream: bool
) -> None:
    llama_swap.script(answer(said))
    text = f"pass it {stream} {said}"[:60].strip()
    found = ask(daemon, "chat", text, model="local", stream=stream)
    assert found.text == said
    assert daemon.event(text)["mended"] is None


@pytest.mark.parametrize("stream", [False, True])
def test_without_tools_the_same_words_are_words(
    daemon: Daemon, llama_swap: SimLlamaSwap, stream: bool
) -> None:
    llama_swap.script(answer(CALL))
    assert ask(daemon, "chat", "show me one", model="auto", stream=stream, tools=False).text == CALL


def test_a_long_call_is_read_whole(daemon: Daemon, llama_swap: SimLlamaSwap) -> None:
    command = "echo " + "words " * 4000
    llama_swap.script(answer(json.dumps({"name": "bash", "arguments": {"command": command}})))
    found = ask(daemon, "chat", "a long one", model="auto", stream=True)
    assert called("chat", found, stream=True) == ("bash", {"command": command}, "tool_calls")
