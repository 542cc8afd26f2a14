"""Requests in the messages and responses dialects: native to the cloud, said in chat completions elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from brainrouter.policy import failure as kinds
from brainrouter.policy.failure import Failure
from brainrouter.policy.outgoing import Outgoing, to_cloud, to_local
from brainrouter.policy.plan import Attempt
from brainrouter.wire.ask import Ask
from brainrouter.wire.messages import parse_messages
from brainrouter.wire.responses import parse_responses
from brainrouter.wire.sealed import sealed

CLOUD, LOCAL = Attempt("cloud", "auto"), Attempt("local", "qwen")
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": sealed("")}
THEIRS = {"type": "thinking", "thinking": "ho", "signature": "EqQB"}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}


def messages(*turns: Any, headers: dict[str, str] | None = None, **fields: Any) -> Ask:
    body = {
        "model": "auto",
        "max_tokens": 9,
        "messages": list(turns) or [{"role": "user", "content": "hi"}],
        **fields,
    }
    return parse_messages(json.dumps(body).encode(), headers or {})


def responses(*items: Any, **fields: Any) -> Ask:
    body = {"model": "auto", "input": list(items) or "hi", **fields}
    return parse_responses(json.dumps(body).encode(), {})


def headers_of(out: Outgoing) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in (*out.headers, *out.shared)}


def local(ask: Ask, **more: Any) -> dict[str, Any]:
    return json.loads(to_local(ask, LOCAL, None, None, **more).document)


def test_the_cloud_gets_a_native_request_byte_for_byte_with_its_query() -> None:
    ask = messages()
    ask.query = "beta=true"
    out = to_cloud(ask, CLOUD, "mnfst_k")
    assert (out.path, out.body, out.dialect, out.translated) == (
        "/messages?beta=true",
        ask.raw,
        "messages",
        None,
    )


def test_what_a_local_model_thought_never_reaches_the_cloud_natively() -> None:
    said = {"role": "assistant", "content": [THOUGHT, THEIRS, {"type": "text", "text": "ok"}]}
    alone = {"role": "assistant", "content": [THOUGHT]}
    out = to_cloud(messages({"role": "user", "content": "a"}, said, alone), CLOUD, None)
    turns = json.loads(out.document)["messages"]
    assert turns == [
        {"role": "user", "content": "a"},
        {**said, "content": [THEIRS, {"type": "text", "text": "ok"}]},
    ]


def test_nor_does_its_reasoning_item() -> None:
    ours = {"type": "reasoning", "id": "rs_x", "summary": [], "encrypted_content": sealed("hm")}
    theirs = {**ours, "encrypted_content": "gAAA"}
    user = {"role": "user", "content": "go"}
    assert json.loads(to_cloud(responses(user, ours, theirs), CLOUD, None).document)["input"] == [
        user,
        theirs,
    ]


def test_words_that_only_mention_the_seal_stay() -> None:
    turn = {"role": "user", "content": [{"type": "text", "text": sealed("x")}]}
    assert json.loads(to_cloud(messages(turn), CLOUD, None).document)["messages"] == [turn]


@pytest.mark.parametrize(
    ("headers", "key", "sent"),
    [
        ({"x-api-key": "mnfst_mine"}, "mnfst_ours", "Bearer mnfst_ours"),
        ({"x-api-key": "mnfst_mine"}, None, "Bearer mnfst_mine"),
        ({"authorization": "Bearer mnfst_mine"}, None, "Bearer mnfst_mine"),
        ({"x-api-key": "sk-ant-1"}, None, None),
        ({"authorization": "Bearer sk-1"}, None, None),
    ],
)
def test_only_a_key_made_for_manifest_is_passed_on(
    headers: dict[str, str], key: str | None, sent: str | None
) -> None:
    out = headers_of(to_cloud(messages(headers=headers), CLOUD, key))
    assert out.get("authorization") == sent
    assert "x-api-key" not in out


def test_a_cloud_that_speaks_chat_only_gets_chat_and_nothing_it_may_refuse() -> None:
    lines = {"anthropic-version": "2023-06-01", "anthropic-beta": "x", "user-agent": "claude-cli/2"}
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [THEIRS, {"type": "text", "text": "ok"}]},
    ]
    asked = messages(
        *turns, {"role": "user", "content": "b"}, headers=lines, top_k=5, output_config={"effort": "high"}
    )
    out = to_cloud(asked, CLOUD, "k", ["chat"])
    body = json.loads(out.document)
    assert (out.path, out.dialect) == ("/chat/completions", "chat")
    assert body["messages"][1] == {"role": "assistant", "content": "ok"}
    assert not body.keys() & {"top_k", "reasoning_effort", "chat_template_kwargs"}
    assert headers_of(out).keys() & {"anthropic-version", "anthropic-beta"} == set()
    assert headers_of(out)["user-agent"] == "claude-cli/2"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, {"chat_template_kwargs": {"enable_thinking": False}}),
        ({"thinking": {"type": "adaptive"}}, {}),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, {"reasoning_effort": "low"}),
    ],
)
def test_a_local_model_thinks_only_where_the_caller_wants_it(
    fields: dict[str, Any], said: dict[str, Any]
) -> None:
    body = local(messages(**fields))
    assert {name: body[name] for name in ("chat_template_kwargs", "reasoning_effort") if name in body} == said


def test_words_put_into_the_models_mouth_are_gone_on_from_without_thinking() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "{"}]
    assert local(messages(*turns, thinking={"type": "adaptive"}))["chat_template_kwargs"] == {
        "enable_thinking": False
    }


def test_a_system_message_in_the_middle_becomes_a_reminder_for_local_templates() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "system", "content": "mind"}]
    assert local(messages(*turns, system="s"))["messages"] == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a\n\n<system-reminder>\nmind\n</system-reminder>"},
    ]


@pytest.mark.parametrize("vision", [True, False])
def test_a_model_that_cannot_see_is_told_of_an_image_in_words(vision: bool) -> None:
    turn = {"role": "user", "content": [{"type": "text", "text": "look"}, IMAGE]}
    [message] = local(messages(turn), vision=vision)["messages"]
    assert ("iVBO" in json.dumps(message)) is vision
    assert ("this model cannot see images" in json.dumps(message)) is not vision


def test_a_request_that_leans_on_a_servers_memory_may_go_to_another_side() -> None:
    with pytest.raises(Failure) as failed:
        to_local(responses(previous_response_id="resp_1"), LOCAL, None, None)
    assert (failed.value.kind, failed.value.kind.falls_back) == (kinds.NOT_TRANSLATABLE, True)
    assert "previous_response_id" in failed.value.message


def test_a_block_that_is_not_what_it_says_is_refused_by_name() -> None:
    with pytest.raises(Failure, match=r"messages\[0\]\.content\[0\]\.text") as failed:
        to_local(messages({"role": "user", "content": [{"type": "text", "text": 5}]}), LOCAL, None, None)
    assert (failed.value.kind, failed.value.status) == (kinds.REFUSED, 400)
