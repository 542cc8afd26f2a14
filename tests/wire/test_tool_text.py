"""Tool calls that local models write as text: what is read as a call, and what is left as it is."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from brainrouter.wire.mended_chat import mended_stream, mended_whole
from brainrouter.wire.tool_text import Call, calls_in, offered_tools


def tool(name: str, required: list[str], **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


TOOLS = offered_tools(
    [
        tool("bash", ["command"], command={"type": "string"}, timeout={"type": "integer"}),
        tool(
            "edit",
            ["path", "count"],
            path={"type": "string"},
            count={"type": "number"},
            all={"type": "boolean"},
        ),
        tool("pick", ["colour"], colour={"enum": ["red", "blue"]}, tags={"type": ["array", "null"]}),
        {"type": "function", "function": {"name": "list_files"}},
        {"name": "not a chat tool"},
        "rubbish",
    ]
)
LS = [("bash", {"command": "ls -l"})]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('{"name": "bash", "arguments": {"command": "ls -l"}}', LS),
        ('  {"name":"bash","parameters":{"command":"ls -l"}}\n', LS),
        ('{"tool": "bash", "args": {"command": "ls -l"}}', LS),
        ('{"tool_name": "bash", "tool_input": {"command": "ls -l"}}', LS),
        ('{"function": "bash", "input": {"command": "ls -l"}}', LS),
        ('{"type":"function","function":{"name":"bash","arguments":{"command":"ls -l"}}}', LS),
        ('{"id":"c1","type":"function","function":{"name":"bash","arguments":"{\\"command\\":\\"ls -l\\"}"}}', LS),
        ('[{"name":"bash","arguments":{"command":"ls -l"}},{"name":"list_files","arguments":{}}]',
         [*LS, ("list_files", {})]),
        ('```json\n{"name": "bash", "arguments": {"command": "ls -l"}}\n```', LS),
        ('```\n{"name": "bash", "arguments": {"command": "ls -l"}}```', LS),
        ('<tool_call>\n{"name": "bash", "arguments": {"command": "ls -l"}}\n</tool_call>', LS),
        ('<tool_call>{"name":"bash","arguments":{"command":"a"}}</tool_call>\n'
         '<tool_call>{"name":"bash","arguments":{"command":"b"}}</tool_call>',
         [("bash", {"command": "a"}), ("bash", {"command": "b"})]),
        ("<tool_call>\n<function=bash>\n<parameter=command>\nls -l\n</parameter>\n</function>\n</tool_call>", LS),
        ("<function=edit><parameter=path>12</parameter><parameter=count>3</parameter>"
         "<parameter=all>true</parameter></function>", [("edit", {"path": "12", "count": 3, "all": True})]),
        ('[TOOL_CALLS] [{"name": "bash", "arguments": {"command": "ls -l"}}]', LS),
        ('[TOOL_CALLS]bash{"command": "ls -l"}', LS),
        ('<|python_tag|>{"name": "bash", "parameters": {"command": "ls -l"}}', LS),
        ('{"name": "pick", "arguments": {"colour": "red", "tags": null}}', [("pick", {"colour": "red", "tags": None})]),
        ('{"name": "bash", "arguments": {"command": "echo \\"</tool_call>\\" ```"}}',
         [("bash", {"command": 'echo "</tool_call>" ```'})]),
        ('{"name": "list_files", "arguments": {"deep": {"er": [1, 2]}}}', [("list_files", {"deep": {"er": [1, 2]}})]),
    ],
)  # fmt: skip
def test_a_call_that_is_beyond_doubt_is_read(text: str, calls: list[tuple[str, dict[str, Any]]]) -> None:
    found = calls_in(text, TOOLS)
    assert found is not None
    assert [(call.name, json.loads(call.arguments)) for call in found] == calls


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I would call bash with ls.",
        '{"name": "bash", "arguments": {"command": "ls"}} and then I look at it',
        'First: {"name": "bash", "arguments": {"command": "ls"}}',
        '{"name": "rm_rf", "arguments": {"command": "ls"}}',
        '{"name": "bash", "arguments": {}}',
        '{"name": "bash", "arguments": {"cmd": "ls"}}',
        '{"name": "bash", "arguments": {"command": 7}}',
        '{"name": "bash", "arguments": {"command": "ls", "timeout": "soon"}}',
        '{"name": "bash", "arguments": {"command": "ls", "timeout": true}}',
        '{"name": "bash", "arguments": ["ls"]}',
        '{"name": "bash", "arguments": "ls"}',
        '{"name": "bash", "arguments": {"command": "ls"}, "thought": "hm"}',
        '{"name": "bash", "tool": "edit", "arguments": {"command": "ls"}}',
        '{"name": "bash", "arguments": {"command": "ls"}, "args": {"command": "rm"}}',
        '{"name": "bash"}',
        '{"name": "pick", "arguments": {"colour": "green"}}',
        '{"name": "bash", "arguments": {"command": "ls"',
        "<tool_call>\n{}\n</tool_call>",
        "<tool_call>rubbish</tool_call>",
        "<function=bash><parameter=command>ls</parameter> and more</function>",
        "<function=edit><parameter=path>a</parameter><parameter=count>many</parameter></function>",
        '```json\n{"name": "bash", "arguments": {"command": "ls"}}\n```\nThat lists the files.',
        "```python\nprint(1)\n```",
        '{"colour": "red"}',
        "[]",
        "null",
        "[" * 5000,
        str([{"name": "bash", "arguments": {"command": "ls"}}] * 17).replace("'", '"'),
    ],
)
def test_what_is_not_beyond_doubt_is_left_as_text(text: str) -> None:
    assert calls_in(text, TOOLS) is None


def test_unknown_arguments_are_refused_only_where_the_schema_refuses_them() -> None:
    text = '{"name": "go", "arguments": {"to": "x", "why": "y"}}'
    schema: dict[str, Any] = {"type": "object", "properties": {"to": {"type": "string"}}}
    assert calls_in(text, {"go": schema}) == [Call("go", '{"to":"x","why":"y"}')]
    assert calls_in(text, {"go": {**schema, "additionalProperties": False}}) is None


@pytest.mark.parametrize(
    "filler", ["<tool_call>", "```", "<function=a>", "<parameter=a>", "{", '{"a":', "[TOOL_CALLS]"]
)
def test_a_hostile_text_does_not_make_reading_long(filler: str) -> None:
    started = time.monotonic()
    assert calls_in(filler * (64_000 // len(filler)), TOOLS) is None
    assert time.monotonic() - started < 5


def test_a_whole_answer_calls_the_tool_in_place_of_its_text() -> None:
    answer = {
        "id": "x", "model": "m", "usage": {"total_tokens": 3},
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "{...}", "reasoning_content": "hm"},
                     "finish_reason": "stop"}],
    }  # fmt: skip
    found = mended_whole(answer, [Call("bash", '{"command":"ls"}')], "ab")
    choice = found["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    assert choice["message"]["reasoning_content"] == "hm"
    assert choice["message"]["tool_calls"] == [
        {"id": "call_ab0", "type": "function", "function": {"name": "bash", "arguments": '{"command":"ls"}'}}
    ]
    assert found["usage"] == {"total_tokens": 3}


def test_a_stream_calls_the_tools_before_its_finish_and_keeps_the_rest() -> None:
    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        row = {"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
        return b"data: " + json.dumps(row).encode() + b"\n\n"

    usage = b'data: {"id":"x","choices":[],"usage":{"prompt_tokens":1}}\n\n'
    held = b"".join(
        [
            b": loading\n\n", chunk({"role": "assistant", "content": None}), chunk({"reasoning_content": "hm"}),
            chunk({"content": '{"name": '}), chunk({"content": '"bash"}'}),
            chunk({}, "stop", timings={"prompt_n": 4}), usage, b"data: [DONE]\n\n",
        ]
    )  # fmt: skip
    found = mended_stream(held, [Call("bash", "{}"), Call("edit", '{"a":1}')], "ab")
    assert found is not None
    assert found.startswith(b": loading\n\n")
    assert found.endswith(usage + b"data: [DONE]\n\n")
    rows = [json.loads(line[6:]) for line in found.split(b"\n") if line.startswith(b"data: {")]
    deltas = [row["choices"][0]["delta"] for row in rows if row["choices"]]
    assert deltas[:2] == [{"role": "assistant"}, {"reasoning_content": "hm"}]
    assert [(call["index"], call["function"]["name"]) for call in deltas[2]["tool_calls"]] == [
        (0, "bash"),
        (1, "edit"),
    ]
    assert (deltas[3], rows[3]["choices"][0]["finish_reason"]) == ({}, "tool_calls")
    assert ("timings" in rows[2], rows[3]["timings"]) == (False, {"prompt_n": 4})
