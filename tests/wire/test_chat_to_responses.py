from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainrouter.wire.responses import parse_responses
from brainrouter.wire.translate import to_chat
from tests.wire.chat_answers import Said, answers, blank_free
from tests.wire.streams import DONE, chunk
from tests.wire.test_error_body import openai_client
from tests.wire.translated import events, from_responses, machine, run

PLAIN = from_responses()
CODEX = from_responses(
    tools=[
        {"type": "function", "name": "shell", "parameters": {"type": "object"}},
        {
            "type": "namespace",
            "name": "mcp__brainrouter",
            "tools": [{"type": "function", "name": "request_review"}],
        },
        {"type": "custom", "name": "apply_patch", "description": "Edit.", "format": {"type": "text"}},
        {
            "type": "tool_search",
            "execution": "client",
            "description": "Find.",
            "parameters": {"type": "object"},
        },
        {"type": "web_search"},
    ]
)

_LETTERS = {
    "response.created": "C",
    "response.in_progress": "I",
    "response.output_item.added": "A",
    "response.content_part.added": "p",
    "response.output_text.delta": "t",
    "response.output_text.done": "T",
    "response.reasoning_text.delta": "t",
    "response.reasoning_text.done": "T",
    "response.refusal.delta": "t",
    "response.refusal.done": "T",
    "response.content_part.done": "P",
    "response.function_call_arguments.delta": "f",
    "response.function_call_arguments.done": "F",
    "response.custom_tool_call_input.delta": "f",
    "response.custom_tool_call_input.done": "F",
    "response.output_item.done": "E",
    "response.completed": "Z",
    "response.incomplete": "Z",
}
GRAMMAR = re.compile(r"CI(A(pt+TP|f*F)?E)*Z")


def check_grammar(stream: bytes) -> list[dict[str, Any]]:
    """The finished items of a stream, after a look at every rule that clients rely on."""
    rows = events(stream)
    assert all(name == data["type"] for name, data in rows)
    assert [data["sequence_number"] for _, data in rows] == list(range(len(rows)))
    assert GRAMMAR.fullmatch("".join(_LETTERS[name] for name, _ in rows))
    done: list[dict[str, Any]] = []
    said, opened = "", dict[str, Any]()
    for name, data in rows:
        if name == "response.output_item.added":
            opened, said = data["item"], ""
            assert opened["status"] == "in_progress"
        if "output_index" in data:
            assert data["output_index"] == len(done)
            assert data.get("item_id", opened["id"]) == opened["id"]
        if name.endswith(".delta"):
            said += data["delta"]
        elif name.endswith((".delta", "_text.done", "arguments.done", "input.done", "refusal.done")):
            assert said == next(data[key] for key in ("text", "arguments", "input", "refusal") if key in data)
        elif name == "response.output_item.done":
            assert data["item"]["id"] == opened["id"]
            done.append(data["item"])
    assert rows[-1][1]["response"]["output"] == done
    return done


@given(answers())
def test_any_mix_of_deltas_becomes_a_stream_in_valid_order_with_nothing_lost(said: Said) -> None:
    items = check_grammar(run(PLAIN, said.chunks))
    texts = [item["content"][0]["text"] for item in items if item["type"] == "message"]
    thoughts = [item["content"][0]["text"] for item in items if item["type"] == "reasoning"]
    assert blank_free("".join(texts)) == blank_free(said.text)
    assert blank_free("".join(thoughts)) == blank_free(said.thought)
    calls = [
        (item["call_id"], item["name"], item["arguments"])
        for item in items
        if item["type"] == "function_call"
    ]
    assert calls == said.calls


@given(answers(), st.lists(st.integers(0, 3000), max_size=8))
def test_any_chunking_of_the_bytes_gives_the_same_stream(said: Said, marks: list[int]) -> None:
    whole = b"".join(said.chunks)
    cuts = [0, *sorted({mark for mark in marks if mark < len(whole)}), len(whole)]
    pieces = [whole[start:end] for start, end in itertools.pairwise(cuts)]
    assert run(PLAIN, pieces) == run(PLAIN, [whole]) == run(PLAIN, said.chunks)


@settings(max_examples=40)
@given(answers(in_order=True))
def test_the_sdk_assembles_a_stream_to_what_the_whole_answer_says(said: Said) -> None:
    client = openai_client(run(PLAIN, said.chunks))
    with client, client.responses.stream(model="m", input="hi") as stream:
        *_, last = stream
    completed_document = json.loads(last.response.model_dump_json(exclude_unset=True))  # type: ignore[union-attr]
    whole = json.loads(machine(PLAIN).whole(said.completion()))
    assert _plain(completed_document["output"]) == _plain(whole["output"])
    for name in ("id", "status", "model", "usage", "incomplete_details"):
        assert completed_document[name] == whole[name]


def _plain(output: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Items without what the SDK adds of its own when it parses."""
    for item in output:
        item.pop("parsed_arguments", None)
        for part in item.get("content") or ():
            part.pop("parsed", None)
    return output


def call_items(*calls: tuple[str, str]) -> list[dict[str, Any]]:
    rows = [
        {"index": at, "id": f"call_{at}", "function": {"name": name, "arguments": text}}
        for at, (name, text) in enumerate(calls)
    ]
    pieces = [*(chunk({"tool_calls": [row]}) for row in rows), chunk({}, "tool_calls"), DONE]
    return check_grammar(run(CODEX, pieces))


def test_a_flattened_name_comes_back_as_name_and_namespace() -> None:
    [item] = call_items(("mcp__brainrouter__request_review", '{"a":1}'))
    assert (item["type"], item["name"], item["namespace"], item["arguments"]) == (
        "function_call", "request_review", "mcp__brainrouter", '{"a":1}',
    )  # fmt: skip


def test_a_plain_function_has_no_namespace() -> None:
    [item] = call_items(("shell", "{}"))
    assert (item["name"], "namespace" in item) == ("shell", False)


@pytest.mark.parametrize(
    ("written", "text"), [('{"input":"*** Begin\\n"}', "*** Begin\n"), ("*** Begin", "*** Begin"), ("", "")]
)
def test_a_free_text_tool_gets_its_text_back(written: str, text: str) -> None:
    [item] = call_items(("apply_patch", written))
    assert (item["type"], item["name"], item["input"], item["call_id"]) == (
        "custom_tool_call", "apply_patch", text, "call_0",
    )  # fmt: skip


def test_a_search_for_tools_is_the_clients_to_run() -> None:
    [item] = call_items(("tool_search", '{"query":"review"}'))
    assert (item["type"], item["execution"], item["arguments"]) == (
        "tool_search_call",
        "client",
        {"query": "review"},
    )


def test_empty_arguments_become_an_empty_object() -> None:
    [item] = call_items(("shell", ""))
    assert item["arguments"] == "{}"


def test_a_call_that_the_limit_cut_does_not_look_whole() -> None:
    row = {"index": 0, "id": "c", "function": {"name": "shell", "arguments": '{"a":'}}
    rows = events(run(CODEX, [chunk({"tool_calls": [row]}), chunk({}, "length"), DONE]))
    last = rows[-1][1]["response"]
    assert (rows[-1][0], last["status"]) == ("response.incomplete", "incomplete")
    assert last["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last["output"][0]["status"] == "incomplete"


def test_a_refusal_is_a_part_of_its_own() -> None:
    [item] = check_grammar(
        run(PLAIN, [chunk({"refusal": "I will "}), chunk({"refusal": "not"}, "stop"), DONE])
    )
    assert item["content"] == [{"type": "refusal", "refusal": "I will not"}]


def test_usage_has_its_parts() -> None:
    usage = {
        "prompt_tokens": 90,
        "completion_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 70},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    rows = events(run(PLAIN, [chunk({"content": "a"}, "stop"), chunk(choices=[], usage=usage), DONE]))
    assert rows[-1][1]["response"]["usage"] == {
        "input_tokens": 90,
        "input_tokens_details": {"cached_tokens": 70},
        "output_tokens": 12,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 102,
    }


def test_reasoning_comes_back_with_the_next_request() -> None:
    chunks = [chunk({"reasoning_content": "first A"}), chunk({"content": "ok"}, "stop"), DONE]
    reasoning = check_grammar(run(PLAIN, chunks))[0]
    reasoning.pop("content")  # as Codex does
    again = from_responses(
        input=[{"role": "user", "content": "go"}, reasoning, {"role": "assistant", "content": "ok"}]
    )
    assert again.messages[1] == {"role": "assistant", "content": "ok", "reasoning_content": "first A"}


def test_a_request_that_is_written_over_many_lines_stays_one_line_of_an_event() -> None:
    pretty = json.dumps({"model": "auto", "input": "hi", "tools": [{"type": "web_search"}]}, indent=2)
    stream = run(to_chat(parse_responses(pretty.encode(), {})), [chunk({"content": "a"}, "stop"), DONE])
    assert events(stream)[-1][1]["response"]["tools"] == [{"type": "web_search"}]


def test_a_stream_that_broke_ends_as_this_very_responses_failure() -> None:
    one = machine(PLAIN)
    begun = events(one.feed(chunk({"content": "half"})))
    failed, error = events(one.broken(status=502, message="gone", kind="truncated"))
    assert failed[1]["response"]["id"] == begun[0][1]["response"]["id"]
    assert [failed[1]["sequence_number"], error[1]["sequence_number"]] == [len(begun), len(begun) + 1]
    assert (failed[0], error[0], failed[1]["response"]["status"]) == ("response.failed", "error", "failed")
