"""U17 to U19: upstreams that say it in an odd way: encoded, in odd HTTP, in pieces of tool calls."""

from __future__ import annotations

import json
from typing import Any

from tests.faults.catalogue import Promise, Row, Trial
from tests.faults.rig import (
    SIDES,
    TEXT,
    forget_peak,
    grown_mb,
    honest,
    patient_stage,
    pid_of,
    posts,
    quiet,
    resident_kb,
    sim_of,
    stage_of,
)
from tests.faults.upstream_rows import stood_in, told
from tests.faults.ways import STREAMS, WAYS, Heard, unique
from tests.sim.scripts import (
    Script,
    answer,
    bomb,
    calls,
    early_hints,
    redirect,
    sse,
    status,
    wire,
    wrong_length,
)


def encoded(trial: Trial) -> None:
    stage = patient_stage(trial)
    pid = pid_of(stage.daemon)
    for way in WAYS:
        for side in SIDES:
            sim_of(stage, side).script(answer(TEXT, gzip=True))
            heard = way.ask(stage.daemon, side, "packed")
            assert heard.text == TEXT
            sent = {name.lower(): value for name, value in posts(sim_of(stage, side))[-1]["headers"]}
            assert sent["accept-encoding"] == "identity"
            trial.tried()
    worst = 0.0
    for way in WAYS if trial.whole else WAYS[:1]:
        for script in (
            bomb(1 << 30 if trial.whole else 1 << 26),
            status(200, {"choices": []}, headers={"content-encoding": "br"}),
            status(200, {"choices": []}, headers={"content-encoding": "deflate"}),
        ):
            before = resident_kb(pid)
            forget_peak(pid)
            stood_in(trial, stage, way, script)
            worst = max(worst, grown_mb(pid, before))
    trial.hold(Promise.LEAK, worst < 16, f"{worst} MB more")
    trial.figure("a bomb of 1 GB", worst, "MB more")


def odd_http(trial: Trial) -> None:
    stage = stage_of(trial)
    scripts: dict[str, Script] = {
        "early hints before rubbish": early_hints(),
        "204": wire(b"HTTP/1.1 204 No Content\r\n\r\n", "keep"),
        "a redirect": redirect(f"{stage.llama_swap.url}/steal"),
        "a permanent redirect": redirect(f"{stage.llama_swap.url}/steal", 301),
        "a promise of more": wrong_length(10, then="close"),
        "no HTTP": wire(b"SSH-2.0-OpenSSH_9.9\r\n"),
        "101": wire(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"),
    }
    for _ in trial.runs(10):
        for name, script in scripts.items():
            for way in trial.some(WAYS, 1):
                stood_in(trial, stage, way, script)
                asked = [request["path"] for request in stage.llama_swap.requests()]
                assert "/steal" not in asked, name
                told(trial, stage, way, script)
    for way in STREAMS:
        for kind in (None, "text/plain"):
            stage.clean()
            stage.manifest.script(answer(TEXT, content_type=kind))
            stage.llama_swap.script(answer(TEXT))
            honest(trial, way.ask(stage.daemon, "cloud", unique("no type")))
            trial.tried()
    body = json.dumps(
        {"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": TEXT}}]}
    ).encode()
    for _ in trial.runs(20, 2):
        stage.clean()
        stage.llama_swap.queue(wrong_length(-3, body + b"xyz"), answer(TEXT))
        for _ in range(2):  # bytes too many are not the beginning of the next answer
            heard = WAYS[1].ask(stage.daemon, "local", unique("too many"))
            assert heard.status in (200, 502)
            honest(trial, heard)
            trial.tried()
    quiet(trial, stage.daemon)


TOOL = {"name": "write", "description": "writes", "parameters": {"type": "object", "properties": {"a": {}}}}
CALLS: dict[str, Script] = {
    "two mixed": calls(("write", {"a": "1"}), ("write", {"b": "2"}), interleave=True, piece_chars=3),
    "in escapes": calls(("write", {"a": 'x\\n"\u00e9\U0001f600\\'}), piece_chars=1),
    "no arguments": calls(("write", {})),
    "text before": calls(("write", {"a": [1, 2, {"b": None}]}), text="I write."),
    "reasoning before": calls(
        ("write", {"a": "1"}), ("write", {"a": "2"}), reasoning="hm, hm", piece_chars=2
    ),
}


# The numbers of calls need not be those of a list, nor come in order.
GAPS = (0, 3, 7)


def _with_gaps() -> Script:
    """Three calls numbered 0, 3 and 7, their arguments coming in turns."""
    deltas: list[dict[str, Any]] = [
        {"index": at, "id": f"call_{at}", "type": "function", "function": {"name": "write", "arguments": ""}}
        for at in GAPS
    ]
    deltas += [{"index": at, "function": {"arguments": part}} for part in ('{"a":', "%d}") for at in GAPS]
    for delta in deltas[-3:]:
        delta["function"] = {"arguments": f"{delta['index']}}}"}
    chunks: list[dict[str, Any]] = [
        {"delta": {"tool_calls": [delta]}, "finish_reason": None} for delta in deltas
    ]
    chunks.append({"delta": {}, "finish_reason": "tool_calls"})
    lines = [json.dumps({"id": "x", "model": "m", "choices": [{"index": 0, **chunk}]}) for chunk in chunks]
    return sse("".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"]))


def numbered_with_gaps(trial: Trial) -> None:
    stage = stage_of(trial)
    for _ in trial.runs(20):
        for way in STREAMS:
            stage.llama_swap.script(_with_gaps())
            heard = way.ask(stage.daemon, "local", "use the tool", tools=[_offered(way.protocol)])
            found = [json.loads(text) for text in _arguments(heard)]
            assert found == [{"a": at} for at in GAPS], f"{way}: {heard.body!r}"
            if way.protocol == "messages":
                _in_order(heard)
            trial.tried()


def tool_calls(trial: Trial) -> None:
    numbered_with_gaps(trial)
    stage = stage_of(trial)
    for _ in trial.runs(20):
        for name, script in CALLS.items():
            for way in WAYS:
                for side in SIDES:
                    sim_of(stage, side).script(script)
                    offered = _offered(way.protocol)
                    heard = way.ask(stage.daemon, side, "use the tool", tools=[offered])
                    wanted = [call["arguments"] for call in script["tool_calls"]]
                    found = [json.loads(text or "{}") for text in _arguments(heard)]
                    assert found == wanted, f"{way} {side} {name}: {heard.body!r}"
                    if way.stream and way.protocol == "messages":
                        _in_order(heard)
                    trial.tried()


def _offered(protocol: str) -> dict[str, Any]:
    if protocol == "messages":
        return {"name": "write", "description": "writes", "input_schema": TOOL["parameters"]}
    return {"type": "function", **TOOL} if protocol == "responses" else {"type": "function", "function": TOOL}


def _arguments(heard: Heard) -> list[str]:
    """The arguments of each call, as this protocol's clients put them together."""
    protocol = heard.way.protocol
    if not heard.streamed:
        body = json.loads(heard.body)
        if protocol == "chat":
            return [call["function"]["arguments"] for call in body["choices"][0]["message"]["tool_calls"]]
        if protocol == "messages":
            return [json.dumps(block["input"]) for block in body["content"] if block["type"] == "tool_use"]
        return [item["arguments"] for item in body["output"] if item["type"] == "function_call"]
    parts: dict[int, str] = {}
    for event in heard.events():
        if event.get("type") == "content_block_start" and event["content_block"]["type"] == "tool_use":
            parts[event["index"]] = ""
        elif event.get("type") == "content_block_delta" and event["delta"]["type"] == "input_json_delta":
            parts[event["index"]] += event["delta"]["partial_json"]
        elif event.get("type") == "response.output_item.done" and event["item"]["type"] == "function_call":
            parts[event["output_index"]] = event["item"]["arguments"]
        for choice in event.get("choices", ()):
            for call in choice["delta"].get("tool_calls") or ():
                more = call.get("function", {}).get("arguments") or ""
                parts[call["index"]] = parts.get(call["index"], "") + more
    return [parts[index] for index in sorted(parts)]


def _in_order(heard: Heard) -> None:
    """Anthropic's grammar: one block at a time, counted from zero, each opened and closed; then the end."""
    kinds = [event for event in heard.events() if event["type"] != "ping"]
    assert kinds[0]["type"] == "message_start"
    assert [event["type"] for event in kinds[-2:]] == ["message_delta", "message_stop"]
    opened: int | None = None
    following = 0
    for event in kinds[1:-2]:
        if event["type"] == "content_block_start":
            assert (opened, event["index"]) == (None, following)
            opened, following = following, following + 1
        else:
            assert event["index"] == opened, kinds
            if event["type"] == "content_block_stop":
                opened = None
    assert opened is None


ROWS = (
    Row("U17", "a body in gzip, in brotli, in deflate, a bomb of 1 GB", "gzip is read, the rest refused; memory stays flat", "quick", encoded, 180),
    Row(
        "U18", "1xx, 101, 204, redirects, no content type, wrong lengths, bytes too many",
        "the other side answers; no redirect is followed; nothing spills into the next answer", "quick", odd_http, 300,
    ),
    Row("U19", "tool calls mixed, empty, numbered with gaps, cut in escapes, after reasoning", "arguments exact; Anthropic's order kept", "quick", tool_calls, 180),
)  # fmt: skip
