from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainrouter.wire.chat_chunk import BadAnswer
from brainrouter.wire.sealed import SEAL
from tests.wire.chat_answers import Said, answers, blank_free
from tests.wire.streams import DONE, chunk
from tests.wire.test_error_body import anthropic_client
from tests.wire.translated import events, from_messages, machine, run

THINKING = from_messages(thinking={"type": "adaptive"})
SILENT = from_messages()
ASKED: Any = {"model": "m", "max_tokens": 9, "messages": []}

# One letter for each event: the whole stream must match.
_LETTERS = {
    "message_start": "S",
    "content_block_start": "B",
    "content_block_delta": "D",
    "content_block_stop": "E",
    "message_delta": "M",
    "message_stop": "Z",
    "ping": "",
}
GRAMMAR = re.compile(r"S(BD*E)*MZ")
_PIECE_OF = {
    "text": {"text_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
}


def check_grammar(stream: bytes) -> list[dict[str, Any]]:
    """The blocks of a stream, after a look at every rule that clients rely on."""
    rows = events(stream)
    assert all(name == data["type"] for name, data in rows)
    assert GRAMMAR.fullmatch("".join(_LETTERS[name] for name, _ in rows))
    blocks: list[dict[str, Any]] = []
    for name, data in rows:
        if name == "content_block_start":
            assert data["index"] == len(blocks)
            blocks.append({**data["content_block"], "pieces": []})
        elif name in ("content_block_delta", "content_block_stop"):
            assert data["index"] == len(blocks) - 1
        if name == "content_block_delta":
            assert data["delta"]["type"] in _PIECE_OF[blocks[-1]["type"]]
            blocks[-1]["pieces"].append(data["delta"])
    for block in blocks:
        kinds = [piece["type"] for piece in block["pieces"]]
        assert "signature_delta" not in kinds[:-1]
        assert block["type"] != "thinking" or kinds[-1] == "signature_delta"
    return blocks


def joined(blocks: list[dict[str, Any]], kind: str, key: str) -> str:
    return "".join(
        piece.get(key, "") for block in blocks if block["type"] == kind for piece in block["pieces"]
    )


@given(answers())
def test_any_mix_of_deltas_becomes_a_stream_in_valid_order_with_nothing_lost(said: Said) -> None:
    blocks = check_grammar(run(THINKING, said.chunks))
    assert blank_free(joined(blocks, "text", "text")) == blank_free(said.text)
    assert blank_free(joined(blocks, "thinking", "thinking")) == blank_free(said.thought)
    calls = [
        (block["id"], block["name"], "".join(piece["partial_json"] for piece in block["pieces"]))
        for block in blocks
        if block["type"] == "tool_use"
    ]
    assert calls == said.calls


@given(answers(), st.lists(st.integers(0, 3000), max_size=8))
def test_any_chunking_of_the_bytes_gives_the_same_stream(said: Said, marks: list[int]) -> None:
    whole = b"".join(said.chunks)
    cuts = [0, *sorted({mark for mark in marks if mark < len(whole)}), len(whole)]
    pieces = [whole[start:end] for start, end in itertools.pairwise(cuts)]
    assert run(THINKING, pieces) == run(THINKING, [whole]) == run(THINKING, said.chunks)


@settings(max_examples=40)
@given(answers(in_order=True))
def test_the_sdk_assembles_a_stream_to_what_the_whole_answer_says(said: Said) -> None:
    stream = anthropic_client(run(THINKING, said.chunks))
    with stream, stream.messages.stream(**ASKED) as events_:
        assembled = events_.get_final_message().to_dict()
    whole = json.loads(machine(THINKING).whole(said.completion()))
    assert [_plain(block) for block in assembled["content"]] == [_plain(block) for block in whole["content"]]  # type: ignore[attr-defined]
    for name in ("stop_reason", "stop_sequence", "model", "role", "id"):
        assert assembled[name] == whole[name]
    used = assembled["usage"]
    assert {name: used[name] for name in whole["usage"]} == whole["usage"]  # type: ignore[index]


def _plain(block: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if value is not None}


def test_thinking_is_hidden_from_a_caller_that_did_not_ask_for_it() -> None:
    chunks = [chunk({"reasoning_content": "hm"}), chunk({"content": "yes"}), chunk({}, "stop"), DONE]
    stream = run(SILENT, chunks)
    assert [block["type"] for block in check_grammar(stream)] == ["text"]
    assert b"hm" not in stream
    assert ("ping", {"type": "ping"}) in events(stream)


def test_the_signature_of_local_thinking_is_ours() -> None:
    blocks = check_grammar(
        run(THINKING, [chunk({"reasoning_content": "hm"}), chunk({"content": "a"}, "stop"), DONE])
    )
    assert blocks[0]["pieces"][-1]["signature"].startswith(SEAL)


@pytest.mark.parametrize(
    ("finish", "extra", "stop"),
    [
        ("stop", {}, "end_turn"),
        ("length", {}, "max_tokens"),
        ("content_filter", {}, "refusal"),
        ("stop", {"stop_reason": "END"}, "stop_sequence"),
        ("tool_calls", {}, "end_turn"),  # a server that says so without calling anything
        ("something_new", {}, "end_turn"),
    ],
)
def test_every_finish_reason_has_a_stop_reason(finish: str, extra: dict[str, Any], stop: str) -> None:
    last = chunk(choices=[{"index": 0, "delta": {}, "finish_reason": finish, **extra}])
    rows = events(run(SILENT, [chunk({"content": "a"}), last, DONE]))
    delta = rows[-2][1]["delta"]
    assert delta == {"stop_reason": stop, "stop_sequence": "END" if extra else None}


def test_a_call_ends_as_tool_use_whatever_the_server_says() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "sh", "arguments": "{}"}}
    rows = events(run(SILENT, [chunk({"tool_calls": [call]}), chunk({}, "stop"), DONE]))
    assert rows[-2][1]["delta"]["stop_reason"] == "tool_use"


def test_usage_counts_the_cached_part_beside_the_input() -> None:
    usage = {"prompt_tokens": 90, "completion_tokens": 12, "prompt_tokens_details": {"cached_tokens": 70}}
    rows = events(run(SILENT, [chunk({"content": "a"}, "stop"), chunk(choices=[], usage=usage), DONE]))
    assert rows[-2][1]["usage"] == {
        "input_tokens": 20,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 70,
        "output_tokens": 12,
    }


def test_llama_cpps_timings_stand_in_for_usage() -> None:
    timings = {"prompt_n": 6, "cache_n": 3, "predicted_n": 2}
    rows = events(run(SILENT, [chunk({"content": "a"}), chunk({}, "stop", timings=timings), DONE]))
    used = rows[-2][1]["usage"]
    assert (used["input_tokens"], used["cache_read_input_tokens"], used["output_tokens"]) == (6, 3, 2)


def test_empty_arguments_become_an_empty_object() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "sh", "arguments": ""}}
    stream = run(SILENT, [chunk({"tool_calls": [call]}), chunk({}, "tool_calls"), DONE])
    assert joined(check_grammar(stream), "tool_use", "partial_json") == "{}"


def test_calls_that_all_have_the_same_number_are_told_apart_by_their_ids() -> None:
    calls = [
        {"index": 0, "id": f"c{n}", "function": {"name": "sh", "arguments": f'{{"n":{n}}}'}} for n in (1, 2)
    ]
    blocks = check_grammar(
        run(SILENT, [*(chunk({"tool_calls": [call]}) for call in calls), chunk({}, "stop"), DONE])
    )
    assert [(block["id"], block["pieces"][0]["partial_json"]) for block in blocks] == [
        ("c1", '{"n":1}'),
        ("c2", '{"n":2}'),
    ]


def test_ids_are_such_as_anthropic_takes_and_never_come_twice() -> None:
    calls = [{"index": n, "id": "bad id!", "function": {"name": "sh", "arguments": "{}"}} for n in (0, 1)]
    blocks = check_grammar(run(SILENT, [chunk({"tool_calls": calls}), chunk({}, "stop"), DONE]))
    ids = [block["id"] for block in blocks]
    assert len(set(ids)) == 2
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", one) for one in ids)


def test_arguments_given_as_an_object_are_written_as_json() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "sh", "arguments": {"a": [1]}}}
    stream = run(SILENT, [chunk({"tool_calls": [call]}), chunk({}, "stop"), DONE])
    assert json.loads(joined(check_grammar(stream), "tool_use", "partial_json")) == {"a": [1]}


def test_a_text_block_of_white_space_alone_is_left_out() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "sh", "arguments": "{}"}}
    stream = run(
        SILENT, [chunk({"content": "\n\n"}), chunk({"tool_calls": [call]}), chunk({}, "tool_calls"), DONE]
    )
    assert [block["type"] for block in check_grammar(stream)] == ["tool_use"]


def test_comments_pass_as_they_are() -> None:
    assert run(SILENT, [b": loading\n\n", chunk({"content": "a"}, "stop"), DONE]).startswith(b": loading\n\n")


@pytest.mark.parametrize(
    "pieces",
    [
        [chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"arguments": "{}"}}]}), DONE],
        [
            chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "sh", "arguments": "{}"}}]}),
            chunk({"tool_calls": [{"index": 1, "id": "d", "function": {"name": "sh", "arguments": "{}"}}]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
        ],
        [b"data: {nonsense\n\n"],
    ],
    ids=["a call without a name", "arguments after a call was whole", "not JSON"],
)
def test_pieces_that_cannot_be_put_together_are_an_error_never_a_guess(pieces: list[bytes]) -> None:
    with pytest.raises(BadAnswer):
        run(SILENT, pieces)


def test_a_whole_answer_with_broken_arguments_is_an_error_unless_it_was_cut_off() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "sh", "arguments": '{"a":'}}
    message = {"role": "assistant", "content": "so", "tool_calls": [call]}
    with pytest.raises(BadAnswer):
        machine(SILENT).whole({"choices": [{"message": message, "finish_reason": "tool_calls"}]})
    cut = json.loads(machine(SILENT).whole({"choices": [{"message": message, "finish_reason": "length"}]}))
    assert [block["type"] for block in cut["content"]] == ["text"]
    assert cut["stop_reason"] == "max_tokens"
