"""C10 to C14: clients that send rubbish, too much of everything, or HTTP that means two things."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import re
import socket
from collections.abc import Iterator
from typing import Any

from tests.daemon import Stage
from tests.faults.catalogue import Row, Trial
from tests.faults.client_rows import spoken
from tests.faults.rig import TEXT, cpu_s, patient_stage, pid_of, posts, quiet
from tests.faults.ways import PATHS, WAYS, Heard, Way
from tests.http1.malformed import REFUSED
from tests.sim.scripts import answer

NO_OBJECTS = [
    b"", b"   \n", b"{", b"null", b"[]", b'"text"', b"3", b"hello", b"{'a': []}", b"\x00" * 64,
    b'{"messages":[]} trailing', b'\xef\xbb\xbf{"messages":[]}', '{"messages":[]}'.encode("utf-16"),
    b'{"a":' * 100_000, b'{"messages":' + b"[" * 100_000, b'{"a":\xff}', b'{"a":"\n"}',
]  # fmt: skip
ODD_VALUES = [
    b"NaN",
    b"Infinity",
    b"1e999",
    b"1" * 5000,
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b"-0",
    b"[" * 5000 + b"]" * 5000,
]
WRONG: list[Any] = [
    None,
    3,
    -1.5,
    True,
    "x",
    "",
    [],
    {},
    [None],
    [[]],
    {"a": {}},
    "\u0000",
    [3],
    {"type": 3},
    "9" * 400,
]
DOUBLED = ("model", "stream", "turns")
FULL: dict[str, dict[str, Any]] = {
    "chat": {
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "done"},
            {"role": "user", "content": "go on"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
        "tool_choice": "auto", "max_tokens": 10, "temperature": 0.5, "stop": ["x"], "stream_options": {"include_usage": True},
        "response_format": {"type": "text"}, "metadata": {"a": "b"}, "user": "me", "parallel_tool_calls": True,
    },
    "messages": {
        "system": [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "done"}]},
        ],
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto"}, "max_tokens": 10, "temperature": 0.5, "stop_sequences": ["x"],
        "thinking": {"type": "enabled", "budget_tokens": 1024}, "metadata": {"user_id": "me"},
    },
    "responses": {
        "instructions": "be kind",
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "done"},
        ],
        "tools": [{"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": False}],
        "tool_choice": "auto", "max_output_tokens": 10, "reasoning": {"effort": "low", "summary": "auto"}, "store": False,
        "include": ["reasoning.encrypted_content"], "text": {"format": {"type": "text"}}, "prompt_cache_key": "k",
    },
}  # fmt: skip


def sent(stage: Stage, way: Way, body: bytes) -> Heard:
    """A body as it is."""
    found = stage.daemon.send("POST", way.path, body)
    return Heard(way, found.status, found.headers, found.body, cut=False, begun_s=0, took_s=0)


def refused(trial: Trial, heard: Heard, what: object) -> None:
    assert 400 <= heard.status < 500, f"{heard.way} {what!r:.200}: {heard}"
    assert heard.error is not None, f"{heard.way} {what!r:.200}: {heard.body!r}"
    trial.tried()


def rubbish(trial: Trial) -> None:
    """What is no JSON object is refused; what is one is answered or refused, never an error of ours."""
    stage = patient_stage(trial)
    for way in WAYS:
        for body in NO_OBJECTS:
            refused(trial, sent(stage, way, body), body)
    assert posts(stage.manifest) == posts(stage.llama_swap) == []
    for way in WAYS:
        for value in ODD_VALUES:
            for side in (b"local", b"cloud"):
                doubled = json.dumps(way.body("SIDE", "hello")).encode()
                doubled = doubled[:-1] + b"," + b",".join(_twice(way, key, value) for key in DOUBLED) + b"}"
                assert sent(stage, way, doubled.replace(b"SIDE", side)).status < 500, (
                    f"{way} twice {value[:50]!r}"
                )
                plain = json.dumps(way.body("SIDE", "hello", temperature="ODD")).encode()
                heard = sent(stage, way, plain.replace(b"SIDE", side).replace(b'"ODD"', value))
                assert heard.status < 500, f"{way} {value[:50]!r}: {heard}"
                trial.tried()
    chance = random.Random(10)
    for _ in trial.runs(5000, 60):
        way = chance.choice(WAYS)
        heard = sent(
            stage,
            way,
            _damaged(json.dumps(way.body(chance.choice(["local", "cloud"]), "hello")).encode(), chance),
        )
        assert heard.status < 500, f"{way}: {heard}"
        trial.tried()
    quiet(trial, stage.daemon)


def _twice(way: Way, key: str, value: bytes) -> bytes:
    """A key that the body has already, with another value."""
    name = ("input" if way.protocol == "responses" else "messages") if key == "turns" else key
    return b'"%b":%b' % (name.encode(), value)


def _damaged(body: bytes, chance: random.Random) -> bytes:
    """A valid body with a few bytes changed, left out or put in."""
    changed = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed))
        match chance.randrange(3):
            case 0:
                changed[at] = chance.randrange(256)
            case 1:
                del changed[at]
            case _:
                changed.insert(at, chance.choice(b'{}[]",:\\\x00\xff0e-'))
    return bytes(changed)


def wrong_types(trial: Trial) -> None:
    """Every leaf of a full request, once with every wrong value."""
    stage = patient_stage(trial)
    stage.manifest.script(answer(TEXT))
    chance = random.Random(11)
    for way in WAYS if trial.whole else [way for way in WAYS if not way.stream]:
        full = {**FULL[way.protocol], "model": "local", "stream": way.stream}
        changes = [(path, value) for path in _leaves(full) for value in WRONG]
        for path, value in changes if trial.whole else chance.sample(changes, 60):
            body = copy.deepcopy(full)
            _put(body, path, value)
            heard = sent(stage, way, json.dumps(body).encode())
            assert heard.status < 500, f"{way} {path} = {value!r:.100}: {heard}"
            assert heard.status == 200 or heard.error is not None
            trial.tried()
    quiet(trial, stage.daemon)


Path = tuple[str | int, ...]


def _leaves(tree: Any, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _leaves(value, (*path, key))
    elif isinstance(tree, list):
        for at, value in enumerate(tree):
            yield from _leaves(value, (*path, at))


def _put(tree: Any, path: Path, value: Any) -> None:
    for key in path[:-1]:
        tree = tree[key]
    tree[path[-1]] = value


def large(trial: Trial) -> None:
    """Long conversations, a long system prompt, very many tools."""
    stage = patient_stage(trial)
    pid = pid_of(stage.daemon)
    worst: dict[str, float] = {}
    for _ in trial.runs(5):
        for way in WAYS:
            for side in ("auto", "local", "cloud"):
                for name, body in _large(way, side).items():
                    before = cpu_s(pid)
                    heard = sent(stage, way, json.dumps(body).encode())
                    assert heard.status in (200, 400, 413), f"{way} {side} {name}: {heard}"
                    assert heard.status == 200 or heard.error is not None
                    worst[name] = max(worst.get(name, 0), cpu_s(pid) - before)
                    trial.tried()
    for name, seconds in worst.items():
        trial.within(f"{name}, worst", seconds * 1000, 250, "ms of CPU")
    quiet(trial, stage.daemon)


def _large(way: Way, side: str) -> dict[str, dict[str, Any]]:
    turns = [
        {"role": "user" if at % 2 == 0 else "assistant", "content": f"turn {at} " * 5} for at in range(9_999)
    ]
    conversation = {"input": turns} if way.protocol == "responses" else {"messages": turns}
    system = "You are kind. " * 360_000
    prompt: dict[str, Any] = {"instructions": system} if way.protocol == "responses" else {"system": system}
    if way.protocol == "chat":
        prompt = {"messages": [{"role": "system", "content": system}, {"role": "user", "content": "hi"}]}
    schema = {
        "type": "object",
        "properties": {f"p{at}": {"type": "string", "description": "p" * 40} for at in range(8)},
    }
    tools = [_tool(way.protocol, f"tool_{at}", schema) for at in range(2000)]
    return {
        "10,000 turns": {**way.body(side, "hi"), **conversation},
        "a system prompt of 5 MB": {**way.body(side, "hi"), **prompt},
        "2,000 tools": {**way.body(side, "hi"), "tools": tools},
    }


def _tool(protocol: str, name: str, schema: dict[str, Any]) -> dict[str, Any]:
    if protocol == "messages":
        return {"name": name, "description": "d" * 100, "input_schema": schema}
    told = {"name": name, "description": "d" * 100, "parameters": schema}
    return {"type": "function", **told} if protocol == "responses" else {"type": "function", "function": told}


def two_meanings(trial: Trial) -> None:
    """Requests that two readers could read in two ways: refused, the connection ended, no route reached."""
    stage = patient_stage(trial)
    asked = stage.daemon.get("/api/routing-stats")["requests"]
    host = f"host: 127.0.0.1:{stage.daemon.port}\r\n".encode()
    for path in ("/", *PATHS.values()) if trial.whole else ("/", "/v1/messages"):
        for name, raw, status in REFUSED:
            if name.endswith("body over the limit"):
                continue  # of the limit in that file; C9 has ours
            body = raw.replace(b"Host: a\r\n", host).replace(b" / HTTP", f" {path} HTTP".encode())
            got = spoken(stage.daemon, body)
            heads = [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", got) if code != b"100"]
            assert heads == [status], f"{name}: {got[:300]!r}"
            trial.tried()
    assert stage.daemon.get("/api/routing-stats")["requests"] == asked


def allowed_oddities(trial: Trial) -> None:
    """Pipelined, Expect, HTTP/1.0, an offer to upgrade: served in order, each its own answer."""
    stage = patient_stage(trial)
    stage.manifest.script(answer(echo=True))
    for _ in trial.runs(20):
        for way in WAYS:
            words = [f"echo {way} {number}" for number in range(8)]
            last = way.raw(stage.daemon, "cloud", words[-1]).replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
            raw = b"".join(way.raw(stage.daemon, "cloud", word) for word in words[:-1]) + last
            got = _plain(_read_on(stage, raw))
            assert got.count("HTTP/1.1 200") == 8
            places = [got.find(word) for word in words]
            assert places == sorted(places)
            assert places[0] > 0
            for line in (b"expect: 100-continue\r\n", b"connection: upgrade\r\nupgrade: h2c\r\n"):
                raw = way.raw(stage.daemon, "cloud", "odd").replace(b"\r\n", b"\r\n" + line, 1)
                if b"upgrade" in line:
                    heads = spoken(stage.daemon, raw)
                    assert heads.startswith(b"HTTP/1.1 400"), heads[:200]  # a body cannot be carried over
                else:
                    with socket.create_connection(("127.0.0.1", stage.daemon.port), timeout=20) as client:
                        head, _, body = raw.partition(b"\r\n\r\n")
                        client.sendall(head + b"\r\n\r\n")
                        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
                        client.sendall(body)
                        assert client.recv(65536).startswith(b"HTTP/1.1 200")
            old = way.raw(stage.daemon, "cloud", "old").replace(b"HTTP/1.1", b"HTTP/1.0", 1)
            answered = _read_on(stage, old)
            assert answered.startswith(b"HTTP/1.1 200")
            assert b"chunked" not in answered.partition(b"\r\n\r\n")[0]
            trial.tried(11)
    quiet(trial, stage.daemon)


def _read_on(stage: Stage, raw: bytes) -> bytes:
    """What comes until the daemon closes, with both directions open."""
    got = b""
    with socket.create_connection(("127.0.0.1", stage.daemon.port), timeout=20) as client:
        client.sendall(raw)
        with contextlib.suppress(ConnectionError):
            while data := client.recv(65536):
                got += data
    return got


def _plain(raw: bytes) -> str:
    """Heads, and the text of streams put together, so that an echo is found whole."""
    out: list[str] = []
    for part in raw.split(b"HTTP/1.1 ")[1:]:
        head, _, body = part.partition(b"\r\n\r\n")
        events = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]
        choices = [choice for event in events for choice in event.get("choices", ())]
        chat = "".join(choice["delta"].get("content") or "" for choice in choices)
        deltas = [
            event["delta"] for event in events if event.get("type", "").endswith("delta") and "delta" in event
        ]
        said = "".join(delta if isinstance(delta, str) else delta.get("text", "") for delta in deltas)
        out.append(f"HTTP/1.1 {head[:3].decode()} {chat or said or body.decode('utf-8', 'replace')}")
    return "\n".join(out)


ROWS = (
    Row("C10", "empty, cut, UTF-16, BOM, NaN, 5,000 digits, lone surrogates, doubled keys, depth 100,000, bytes changed at random", "4xx in the caller's protocol, never 5xx", "quick", rubbish, 300),
    Row("C11", "every leaf of a full request with every wrong value", "answered, or 400 in the caller's protocol; never 5xx", "quick", wrong_types, 300),
    Row("C12", "10,000 turns; a system prompt of 5 MB; 2,000 tools", "answered or refused in words", "long", large, 300),
    Row("C13", "two lengths, chunked with a length, odd chunk sizes, bare LF, folds, two hosts, 101 headers: 80 of them", "refused, connection ended, no route reached", "quick", two_meanings, 120),
    Row("C14", "pipelined, Expect, HTTP/1.0, Upgrade", "served in order or refused, each its own answer", "quick", allowed_oddities, 120),
)  # fmt: skip
