"""Whatever a client sends, it gets a 4xx in OpenAI's shape that names the field; never a 5xx."""

from __future__ import annotations

import copy
import json
import socket
import sys
from typing import Any

import pytest

from tests.daemon import Answer, Daemon, chat_body

PATH = "/v1/chat/completions"
# Python 3.14 follows deeper than this daemon reads, and so comes to what is wrong at the end of it.
FOLLOWS_DEEP = sys.version_info >= (3, 14)


def assert_openai_error(found: Answer, status: int) -> dict[str, Any]:
    assert found.status == status, found
    assert found.headers["content-type"] == "application/json"
    error = found.error
    assert {"message", "type", "param", "code"} <= error.keys()
    assert error["message"]
    assert error["type"] == "invalid_request_error" or status in (404, 403, 429)
    return error


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "empty"),
        (b"   \n", "empty"),
        (b"{", "not valid JSON"),
        (b"null", "must be a JSON object"),
        (b"[]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"3", "must be a JSON object"),
        (b"hello", "not valid JSON"),
        (b"{'messages': []}", "not valid JSON"),
        (b'{"messages":[]} trailing', "not valid JSON"),
        (b'{"messages":[{"role":"user","content":"x"}],"temperature":NaN}', "not valid JSON"),
        (b'{"messages":[{"role":"user","content":"x"}],"n":Infinity}', "not valid JSON"),
        (b'{"messages":[{"role":"user","content":"\\ud800"}]}', "not valid JSON"),
        (b'{"messages":[{"role":"user","content":"\xff"}]}', "not valid UTF-8"),
        (b'{"messages":[{"role":"user","content":"a\nb"}]}', "not valid JSON"),
        (b'\xef\xbb\xbf{"messages":[]}', "byte order mark"),
        ('{"messages":[]}'.encode("utf-16"), "byte order mark"),
        (b"\x00" * 64, "not valid JSON"),
        (b'{"a":' * 30_000, "not valid JSON" if FOLLOWS_DEEP else "nested too deeply"),
        (b'{"messages":' + b"[" * 90_000, "not valid JSON" if FOLLOWS_DEEP else "nested too deeply"),
        (
            b'{"messages":[{"role":"user","content":' + b"[" * 20_000 + b"]" * 20_000 + b"}]}",
            "expected object" if FOLLOWS_DEEP else "nested too deeply",
        ),
    ],
)
@pytest.mark.parametrize("unix", [False, True])
def test_a_body_that_is_no_json_object_is_refused(daemon: Daemon, raw: bytes, words: str, unix: bool) -> None:
    error = assert_openai_error(daemon.send("POST", PATH, raw, unix=unix), 400)
    assert words in error["message"]


@pytest.mark.parametrize("model", ["cloud", "local"])
def test_no_depth_of_nesting_is_an_accident(daemon: Daemon, model: str) -> None:
    for depth in [*range(10, 900, 89), *range(900, 1010, 3)]:
        content = b"[" + b'{"type":"text","text":' * depth + b"1" + b"}" * depth + b"]"
        raw = b'{"model":"%s","messages":[{"role":"user","content":%s}]}' % (model.encode(), content)
        assert daemon.send("POST", PATH, raw).status != 500, depth


VALID: dict[str, Any] = {
    "model": "local",
    "stream": True,
    "max_tokens": 10,
    "temperature": 0.1,
    "top_p": 0.9,
    "n": 1,
    "stop": ["x"],
    "seed": 1,
    "user": "me",
    "metadata": {"user_id": "x"},
    "prompt_cache_key": "k",
    "tool_choice": {"type": "function", "function": {"name": "sh"}},
    "parallel_tool_calls": True,
    "response_format": {"type": "text"},
    "stream_options": {"include_usage": True},
    "tools": [{"type": "function", "function": {"name": "sh", "parameters": {"type": "object"}}}],
    "messages": [
        {"role": "system", "content": "s", "name": "n"},
        {"role": "user", "content": [{"type": "text", "text": "t"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "sh"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "r"},
    ],
}
WRONG = [None, True, 3, -1.5, "x", "", [], [1], [[]], {}, {"a": 1}, [None], 10**30]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [place for key, inner in items for place in places(inner, (*path, key))]


@pytest.mark.parametrize("name", ["cloud", "local"])
@pytest.mark.parametrize("field", sorted({place[0] for place in places(VALID)}))
def test_a_wrong_type_at_any_place_is_served_or_refused_by_name(
    daemon: Daemon, field: str, name: str
) -> None:
    connection = daemon.connect()
    for place in [place for place in places(VALID) if place[0] == field]:
        for wrong in WRONG:
            body = copy.deepcopy(VALID)
            if place != ("model",):
                body["model"] = name
            node: Any = body
            for key in place[:-1]:
                node = node[key]
            node[place[-1]] = wrong
            connection.request("POST", PATH, json.dumps(body), {"content-type": "application/json"})
            reply = connection.getresponse()
            raw = reply.read()
            assert reply.status < 500, (place, wrong, raw)
            if reply.status >= 400 and b"Manifest M" not in raw:
                error = json.loads(raw)["error"]
                assert (error["param"] or error["message"]).startswith(field), (place, wrong, error)
    connection.close()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ({"messages": 3}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [3]}, "messages[0]"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": None, "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": {}}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [3]}]}, "messages[0].content[0]"),
        (chat_body(tools="x"), "tools"),
        (chat_body(tools=[3]), "tools[0]"),
        (chat_body(temperature="hot"), "temperature"),
        ({**chat_body(), "model": 3}, "model"),
        ({**chat_body(), "stream": "yes"}, "stream"),
    ],
)
def test_the_field_at_fault_is_named_and_an_event_is_left(
    daemon: Daemon, body: dict[str, Any], param: str
) -> None:
    error = assert_openai_error(daemon.send("POST", PATH, body), 400)
    assert error["param"] == param
    event = daemon.events(1)[0]
    assert (event["status"], event["stage"], event["error"]) == (400, "request", error["message"])


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused_before_it_is_read(daemon: Daemon, chunked: bool) -> None:
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=10) as client:
        head = f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1:{daemon.port}\r\ncontent-type: application/json\r\n"
        framing = (
            "transfer-encoding: chunked\r\n\r\n30d41\r\n" if chunked else "content-length: 200001\r\n\r\n"
        )
        client.sendall(head.encode() + framing.encode() + (b" " * 200_001 if chunked else b""))
        said = b""
        while data := client.recv(65536):
            said += data
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nx-content-type-options: nosniff\r\n" in said
    assert json.loads(said.split(b"\r\n\r\n", 1)[1])["error"]["type"] == "invalid_request_error"


def test_a_body_just_under_the_limit_is_served(daemon: Daemon) -> None:
    assert daemon.chat("local", "x" * 190_000).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/chat/completion",
        "/v1/chat/completions/",
        "//v1/models",
        "/api/unknown",
        "/%00",
    ],
)
def test_an_unknown_path_is_404_in_shape(daemon: Daemon, path: str) -> None:
    assert_openai_error(daemon.send("GET", path), 404)
    assert_openai_error(daemon.send("POST", path, {}), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", PATH, "POST"),
        ("PUT", PATH, "POST"),
        ("DELETE", "/v1/models", "GET"),
        ("POST", "/health", "GET"),
        ("PATCH", "/api/decide", "POST"),
        ("OPTIONS", PATH, "POST"),
        ("POST", "/v1/models/auto", "GET"),
    ],
)
def test_a_wrong_method_is_405_and_says_which_is_right(
    daemon: Daemon, method: str, path: str, allowed: str
) -> None:
    found = daemon.send(method, path)
    assert_openai_error(found, 405)
    assert found.headers["allow"] == allowed


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_only_json_is_taken(daemon: Daemon, kind: str) -> None:
    found = daemon.send("POST", PATH, json.dumps(chat_body()).encode(), content_type=kind)
    assert_openai_error(found, 415)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1:1"}, 421),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
    ],
)
def test_every_route_stands_behind_the_guard(daemon: Daemon, headers: dict[str, Any], status: int) -> None:
    for method, path in [("GET", "/health"), ("GET", "/v1/models"), ("POST", PATH), ("POST", "/api/decide"),
                         ("GET", "/api/routing-events"), ("GET", "/metrics"), ("GET", "/nothing")]:  # fmt: skip
        body = chat_body() if method == "POST" else None
        assert daemon.send(method, path, body, **headers).status == status


def test_over_the_unix_socket_any_host_will_do(daemon: Daemon) -> None:
    body = chat_body("local")
    assert daemon.send("POST", PATH, body, unix=True, host="brainrouter").status == 200


@pytest.mark.parametrize("limit", ["0", "-1", "501", "x", "1.5", "\u0661", "9" * 5000, "1e2", " 5"])
def test_a_limit_that_is_none_is_refused_by_name(daemon: Daemon, limit: str) -> None:
    from urllib.parse import quote

    error = assert_openai_error(daemon.send("GET", f"/api/routing-events?limit={quote(limit)}"), 400)
    assert error["param"] == "limit"


@pytest.mark.parametrize(
    ("body", "param"),
    [({"text": 3}, "text"), ({"text": None}, "text"), ({}, "messages"), ({"text": []}, "text")],
)
def test_what_cannot_be_decided_is_refused_by_name(daemon: Daemon, body: dict[str, Any], param: str) -> None:
    assert assert_openai_error(daemon.send("POST", "/api/decide", body), 400)["param"] == param
