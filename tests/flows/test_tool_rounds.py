"""Tools that wait: the daemon answers the local model's searches itself, and the harness sees its own tools only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon import Answer, Stage, eventually
from tests.policy.deferred import TOOLS
from tests.sim.scripts import Script, answer, calls, cut_after, reset, status

FIND = ("find_tools", {"query": "WebFetch"})
WRAPPED = ("call_tool", {"name": "WebFetch", "arguments": {"url": "http://a"}})
BASH = ("Bash", {"command": "ls"})
DIALECTS = ("chat", "messages", "responses")
every_way = pytest.mark.parametrize(
    ("dialect", "stream"), [(one, flag) for one in DIALECTS for flag in (False, True)]
)


@pytest.fixture(scope="module")
def standing() -> Iterator[Stage]:
    quick = {"first_byte_s": 2.0, "stall_s": 2.0}
    with Stage(
        manifest=quick,
        llama_swap={**quick, "fallback_model": "qwen-coder", "tool_slimming": 2},
        limits={"total_s": 5, "drain_s": 2},
    ) as stage:
        yield stage


def asked(stage: Stage, dialect: str, text: str, *, stream: bool, model: str = "local") -> Answer:
    functions = [one["function"] for one in TOOLS]
    turn = [{"role": "user", "content": text}]
    if dialect == "messages":
        tools = [
            {"name": one["name"], "description": one["description"], "input_schema": one["parameters"]}
            for one in functions
        ]
        body: dict[str, Any] = {"messages": turn, "max_tokens": 100, "tools": tools}
    elif dialect == "responses":
        body = {"input": turn, "tools": [{"type": "function", **one} for one in functions]}
    else:
        body = {"messages": turn, "tools": TOOLS}
    path = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}[dialect]
    return stage.daemon.send("POST", path, {"model": model, "stream": stream, **body})


def told(dialect: str, reply: Answer) -> tuple[str, list[tuple[str, Any]]]:
    """The text and the calls (name, arguments) of an answer in any dialect, whole or streamed."""
    streamed = "event-stream" in reply.headers.get("content-type", "")
    return {"chat": _chat, "messages": _messages, "responses": _responses}[dialect](reply, streamed)


def _chat(reply: Answer, streamed: bool) -> tuple[str, list[tuple[str, Any]]]:
    text, found = "", {}
    choices = [one for event in (reply.events() if streamed else [reply.json()]) for one in event["choices"]]
    for choice in choices:
        said = choice["delta" if streamed else "message"]
        text += said.get("content") or ""
        for at, piece in enumerate(said.get("tool_calls") or ()):
            name, arguments = found.get(piece.get("index", at), ("", ""))
            function = piece["function"]
            found[piece.get("index", at)] = (
                name + (function.get("name") or ""),
                arguments + function["arguments"],
            )
    return text, [(name, json.loads(arguments)) for name, arguments in found.values()]


def _messages(reply: Answer, streamed: bool) -> tuple[str, list[tuple[str, Any]]]:
    if not streamed:
        blocks = reply.json()["content"]
        text = "".join(one["text"] for one in blocks if one["type"] == "text")
        return text, [(one["name"], one["input"]) for one in blocks if one["type"] == "tool_use"]
    text, found = "", []
    for event in reply.events():
        if event["type"] == "content_block_start" and event["content_block"]["type"] == "tool_use":
            found.append([event["content_block"]["name"], ""])
        delta = event.get("delta", {})
        text += delta.get("text", "")
        if "partial_json" in delta:
            found[-1][1] += delta["partial_json"]
    return text, [(name, json.loads(arguments)) for name, arguments in found]


def _responses(reply: Answer, streamed: bool) -> tuple[str, list[tuple[str, Any]]]:
    done = (
        [event["response"] for event in reply.events() if event["type"] == "response.completed"]
        if streamed
        else [reply.json()]
    )
    text, found = "", []
    for item in done[0]["output"]:
        if item["type"] == "message":
            text += "".join(part["text"] for part in item["content"])
        elif item["type"] == "function_call":
            found.append((item["name"], json.loads(item["arguments"])))
    return text, found


def bodies(stage: Stage, text: str) -> list[dict[str, Any]]:
    return [entry["body"] for entry in stage.llama_swap.requests() if text in entry["text"]]


@every_way
def test_a_search_is_answered_inside_the_turn_and_the_call_is_the_harness_own(
    stage: Stage, dialect: str, stream: bool
) -> None:
    text = f"fetch it {dialect} {stream}"
    stage.llama_swap.queue(calls(FIND, text="I look."), calls(WRAPPED))
    reply = asked(stage, dialect, text, stream=stream)
    assert reply.status == 200
    assert told(dialect, reply) == ("I look.", [("WebFetch", {"url": "http://a"})])
    assert b"find_tools" not in reply.body
    assert b"call_tool" not in reply.body
    first, second = bodies(stage, text)
    assert first["tools"] == second["tools"]
    assert second["messages"][: len(first["messages"])] == first["messages"]
    search, shown = second["messages"][len(first["messages"]) :]
    assert search["tool_calls"][0]["id"] == shown["tool_call_id"]
    assert '"url"' in shown["content"]
    event = stage.daemon.event(text)
    assert event["side"] == "local"
    assert "tools wait to be asked for" in event["lean_note"]
    assert event["lean_searches"] == 1
    assert event["error"] is None


@every_way
def test_text_after_a_search_is_the_answer(stage: Stage, dialect: str, stream: bool) -> None:
    stage.llama_swap.queue(calls(FIND), calls(FIND), answer("No such thing is needed."))
    assert told(dialect, asked(stage, dialect, "never mind", stream=stream)) == (
        "No such thing is needed.",
        [],
    )


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_searches_for_ever_is_stopped(stage: Stage, stream: bool) -> None:
    stage.llama_swap.script(calls(FIND))
    reply = asked(stage, "chat", f"for ever {stream}", stream=stream)
    assert reply.status == 502
    assert "looked for tools 4 times and used none" in reply.error["message"]
    assert len(bodies(stage, f"for ever {stream}")) == 5


@pytest.mark.parametrize("stream", [False, True])
def test_it_is_the_same_where_the_local_side_stands_in_for_the_cloud(stage: Stage, stream: bool) -> None:
    stage.manifest.script(reset())
    stage.llama_swap.queue(calls(FIND), calls(WRAPPED))
    reply = asked(stage, "chat", f"stands in {stream}", stream=stream, model="auto")
    assert told("chat", reply)[1] == [("WebFetch", {"url": "http://a"})]
    assert reply.side == "local"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_second_answer_that_breaks_never_looks_complete(stage: Stage, dialect: str) -> None:
    stage.llama_swap.queue(calls(FIND, text="I look."), cut_after(3, "fin", text="word " * 40))
    reply = asked(stage, dialect, f"breaks {dialect}", stream=True)
    assert b"error" in reply.body
    ends = {"chat": b"[DONE]", "messages": b"message_stop", "responses": b"response.completed"}
    assert dialect == "chat" or ends[dialect] not in reply.body
    assert stage.daemon.event(f"breaks {dialect}")["error"]


@pytest.mark.parametrize("fault", [{"error": "start_failed"}, status(500), {"error": "overflow"}])
def test_a_round_that_fails_before_anything_was_said_is_an_error_of_its_own(
    stage: Stage, fault: Script
) -> None:
    stage.llama_swap.queue(calls(FIND), fault)
    reply = asked(stage, "messages", "fails at once", stream=True)
    assert reply.status >= 400
    assert reply.json()["type"] == "error"


def test_a_client_that_leaves_while_a_search_is_answered_has_left_in_the_middle(stage: Stage) -> None:
    stage.llama_swap.queue(calls(FIND, text="I look.", gap_s=0.02), answer("too late", gate="held"))
    with stage.daemon.open_stream("local", "leaves between", tools=TOOLS) as connection:
        read = b""
        while b"looking for a tool" not in read:
            read += connection.recv(4096)
        eventually(lambda: len(bodies(stage, "leaves between")) == 2)
    event = stage.daemon.event("leaves between")
    assert (event["status"], event["error"]) == (499, "the client left")
    stage.llama_swap.release("held")


@every_way
def test_what_needs_no_search_takes_one_round(stage: Stage, dialect: str, stream: bool) -> None:
    text = f"just run {dialect} {stream}"
    stage.llama_swap.queue(calls(BASH, text="I run."))
    assert told(dialect, asked(stage, dialect, text, stream=stream)) == (
        "I run.",
        [("Bash", {"command": "ls"})],
    )
    assert len(bodies(stage, text)) == 1


def test_a_caller_that_says_which_tool_to_call_gets_it_offered(stage: Stage) -> None:
    choice = {"type": "function", "function": {"name": "WebFetch"}}
    stage.daemon.chat("local", "this very one", tools=TOOLS, tool_choice=choice)
    [body] = bodies(stage, "this very one")
    assert len(body["tools"]) == len(TOOLS)
    assert body["tool_choice"] == choice


def test_in_slices_of_bytes_it_is_the_same(stage: Stage) -> None:
    stage.llama_swap.queue(calls(FIND, slice=7), calls(WRAPPED, BASH, slice=11, interleave=True))
    reply = asked(stage, "messages", "in slices", stream=True)
    assert sorted(name for name, _ in told("messages", reply)[1]) == ["Bash", "WebFetch"]
