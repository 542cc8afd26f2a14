"""What leaves for an upstream: the caller's bytes to the cloud, an adapted conversation to the local side."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainrouter.policy.failure import Failure
from brainrouter.policy.outgoing import Outgoing, to_cloud, to_local
from brainrouter.policy.plan import Attempt
from brainrouter.wire.chat import parse_chat
from tests.depth import DEEP

CLOUD, LOCAL = Attempt("cloud", "auto"), Attempt("local", "qwen")


def request(**fields: Any) -> bytes:
    return json.dumps({"model": "auto", "messages": [{"role": "user", "content": "hi"}], **fields}).encode()


def sent_headers(out: Outgoing) -> dict[str, str]:
    names = [name for name, _ in (*out.headers, *out.shared)]
    assert len(names) == len(set(names))
    return {name.decode(): value.decode("latin-1") for name, value in (*out.headers, *out.shared)}


def cloud(raw: bytes, key: str | None = "mnfst_k", **headers: str) -> Outgoing:
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    return to_cloud(parse_chat(raw, lines), CLOUD, key)


def local(raw: bytes, override: str | None = None, **headers: str) -> dict[str, Any]:
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    return json.loads(to_local(parse_chat(raw, lines), LOCAL, None, override).document)


def test_a_request_for_auto_goes_to_the_cloud_byte_for_byte() -> None:
    raw = b'{ "model" : "auto",\n "messages":[ {"role":"user","content":"\\u00fc"} ], "x":1.0e2 }'
    assert cloud(raw).body is raw


def test_of_any_other_name_only_the_model_is_changed() -> None:
    raw = b'{"x":1.0e2,"model":"gpt-5","messages":[ {"role":"user", "content":"\\u00fc", "y": null} ],"z":{"a": []}}'
    assert cloud(raw).body == raw.replace(b'"gpt-5"', b'"auto"')


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" , ", " : ")])
@pytest.mark.parametrize("name", ["cloud", "a\\b", 'a"b', "\\", "\\\\", "ü", "", "\n", "model"])
def test_the_model_is_replaced_however_its_name_is_written(name: str, separators: tuple[str, str]) -> None:
    for place in (("model", "messages"), ("messages", "model")):
        body = {"model": name, "messages": [{"role": "user", "content": 'a "model":"cloud" in the text'}]}
        for ascii_only in (True, False):
            raw = json.dumps(
                {key: body[key] for key in place}, separators=separators, ensure_ascii=ascii_only
            )
            assert json.loads(cloud(raw.encode()).document) == {**body, "model": "auto"}


@given(
    st.dictionaries(
        st.text(max_size=8).filter(lambda name: name not in ("model", "messages")),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=5,
        ),
        max_size=5,
    )
)
@settings(max_examples=40)
def test_fields_that_nobody_knows_arrive_as_they_were(extra: dict[str, Any]) -> None:
    known = {"stream", "tools", "stop", "n", "seed", "top_p", "top_k"}
    extra = {name: value for name, value in extra.items() if name not in known}
    for body in (json.loads(cloud(request(**extra, model="x")).document), local(request(**extra))):
        assert {name: body[name] for name in extra} == extra


@pytest.mark.parametrize(
    "name",
    [
        "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect",
        "authorization", "proxy-authorization", "x-api-key", "cookie", "origin", "referer", "forwarded",
        "x-forwarded-for", "x-real-ip", "sec-fetch-site", "sec-ch-ua", "x-brainrouter-harness",
        "access-control-request-method", "accept-encoding", "content-type",
    ],
)  # fmt: skip
def test_what_is_between_the_caller_and_us_stays_with_us(name: str) -> None:
    out = cloud(request(), **{name: "canary"})
    assert "canary" not in str((out.headers, out.shared))


@pytest.mark.parametrize(
    "name",
    [
        "user-agent",
        "anthropic-beta",
        "x-manifest-specificity",
        "traceparent",
        "x-title",
        "accept",
        "x-future",
    ],
)
def test_what_is_meant_for_the_upstream_is_passed_on(name: str) -> None:
    assert sent_headers(cloud(request(), **{name: "kept"}))[name] == "kept"


def test_the_key_goes_where_manifest_reads_it_and_the_callers_own_does_not() -> None:
    headers = sent_headers(
        cloud(request(), authorization="Bearer sk-callers-own", x_api_key="sk-callers-own")
    )
    assert headers["authorization"] == "Bearer mnfst_k"
    assert "sk-callers-own" not in str(headers)
    assert "authorization" not in sent_headers(cloud(request(), key=None, authorization="Bearer x"))


def test_the_conversation_is_kept_on_one_provider_by_its_session() -> None:
    assert sent_headers(cloud(request(), x_session_id="s-1"))["x-session-key"] == "s-1"
    assert "x-session-key" not in sent_headers(cloud(request()))


def test_answers_are_asked_for_without_compression() -> None:
    headers = sent_headers(cloud(request(), accept_encoding="br, gzip"))
    assert (headers["accept-encoding"], headers["content-type"]) == ("identity", "application/json")


def test_the_local_side_gets_the_local_model_and_nothing_of_the_callers_headers() -> None:
    ask = parse_chat(
        request(model="auto", stream=True, stream_options={"x": 1}), {"x-title": "t", "x-session-id": "s"}
    )
    out = to_local(ask, LOCAL, "k", None)
    body, headers = json.loads(out.document), sent_headers(out)
    assert (out.path, body["model"]) == ("/chat/completions", "qwen")
    assert body["stream_options"] == {"x": 1, "include_usage": True}
    assert (headers["authorization"], headers["x-api-key"], headers["x-session-id"]) == ("Bearer k", "k", "s")
    assert headers["accept"] == "application/json"
    assert "x-title" not in headers


def test_a_whole_local_answer_is_not_asked_for_stream_options() -> None:
    assert "stream_options" not in local(request())


def test_roles_are_adapted_for_local_templates() -> None:
    talk = [{"role": "developer", "content": "be brief"}, {"role": "user", "content": "hi"}]
    assert local(request(messages=talk))["messages"][0] == {"role": "system", "content": "be brief"}


def test_tools_are_slimmed_as_far_as_was_asked_for_and_the_saving_is_told() -> None:
    words = "It runs a command. " * 60
    tools = [
        {
            "type": "function",
            "function": {"name": "sh", "description": words, "parameters": {"type": "object"}},
        }
    ]
    ask = parse_chat(request(tools=tools), {})
    slimmed, whole = (to_local(ask, LOCAL, None, None, slimming=level) for level in (1, 0))
    assert len(json.loads(slimmed.document)["tools"][0]["function"]["description"]) < 300
    assert json.loads(whole.document)["tools"] == tools
    assert slimmed.saving is not None
    assert whole.saving is not None
    assert whole.saving.after == whole.saving.before == slimmed.saving.before > slimmed.saving.after


@pytest.mark.parametrize("tools", [[], [{"name": "flat"}], None])
def test_tools_that_are_not_chat_functions_are_left_to_the_server_to_judge(tools: Any) -> None:
    assert local(request(tools=tools)).get("tools") == tools


def test_a_light_system_prompt_is_left_alone_even_when_the_user_has_one() -> None:
    talk = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    assert local(request(messages=talk), "Mine.")["messages"] == talk


def test_messages_nested_to_the_limit_are_the_callers_fault_and_no_accident() -> None:
    ask = parse_chat(request(), {})
    ask.body["messages"] = type(ask.body["messages"])(
        b'[{"role":"user","content":' + b"[" * DEEP + b"]" * DEEP + b"}]"
    )
    with pytest.raises(Failure, match="messages: nested too deeply") as caught:
        to_local(ask, LOCAL, None, None)
    assert (caught.value.status, caught.value.kind.falls_back) == (400, False)


@pytest.mark.parametrize("order", [("model", "messages"), ("messages", "model")])
def test_a_large_body_leaves_for_the_cloud_uncopied_and_says_what_it_said(order: tuple[str, str]) -> None:
    fields = {"model": "auto", "messages": [{"role": "user", "content": 'the "model": "auto" ' * 5000}]}
    raw = json.dumps({name: fields[name] for name in order}).encode()
    out = to_cloud(parse_chat(raw, {}), Attempt("cloud", 'an "odd" one'), None)
    assert isinstance(out.body, tuple)
    assert json.loads(out.document) == {**fields, "model": 'an "odd" one'}
