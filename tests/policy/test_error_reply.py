"""A failure as the caller reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from brainrouter.policy import failure as kinds
from brainrouter.policy.error_reply import error_reply
from brainrouter.policy.failure import Failure, Kind
from brainrouter.wire.ask import Dialect

KINDS = [value for value in vars(kinds).values() if isinstance(value, Kind)]
DIALECTS: list[Dialect] = ["chat", "messages", "responses"]


def told(failure: Failure, dialect: Dialect = "chat") -> tuple[int, dict[str, str], dict[str, Any]]:
    status, headers, body = error_reply(dialect, failure)
    return status, dict(headers), json.loads(body)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_is_told_in_the_callers_shape_with_its_status(kind: Kind, dialect: Dialect) -> None:
    status, headers, body = told(Failure(kind, "what happened"), dialect)
    assert status == kind.status
    assert body["error"]["message"]
    if dialect == "messages":
        assert body["type"] == "error"
    else:
        assert {"message", "type", "param", "code"} <= body["error"].keys()
    assert ("retry-after" in headers) is (status in (429, 503))


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (kinds.CONTEXT_TOO_LONG, "context_length_exceeded"),
        (kinds.RATE_LIMITED, "rate_limit_exceeded"),
        (kinds.BUDGET_SPENT, "insufficient_quota"),
        (kinds.UNAUTHORISED, "invalid_api_key"),
        (kinds.UNKNOWN_MODEL, "model_not_found"),
    ],
)
def test_clients_find_the_code_they_act_on(kind: Kind, code: str) -> None:
    assert told(Failure(kind, "x"))[2]["error"]["code"] == code


@pytest.mark.parametrize(
    ("asked", "header"), [(None, "5"), (0.0, "1"), (0.2, "1"), (17.0, "17"), (17.2, "18")]
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_429_and_a_503_always_say_when_to_come_back(status: int, asked: float | None, header: str) -> None:
    failure = Failure(kinds.RATE_LIMITED, "x", status=status, retry_after_s=asked)
    assert told(failure)[1]["retry-after"] == header


def test_the_clouds_own_refusal_is_passed_on_word_for_word() -> None:
    body = b' {"error": {"message": "tools[0]: bad", "param": "tools", "x": [1]}}'
    assert error_reply("chat", Failure(kinds.REFUSED, "m", status=422, body=body)) == (422, (), body)


@pytest.mark.parametrize("body", [b"<html>no</html>", b"no", b"[1]"])
def test_a_refusal_that_is_no_json_object_is_reworded(body: bytes) -> None:
    assert told(Failure(kinds.REFUSED, "words", status=413, body=body))[2]["error"]["message"] == "words"


def test_what_the_cloud_says_of_its_own_troubles_is_not_passed_on() -> None:
    failure = Failure(kinds.UNAUTHORISED, "words", status=401, body=b'{"error":{"message":"other"}}')
    assert told(failure)[2]["error"]["message"] == "words"


@pytest.mark.parametrize(
    ("dialect", "words"),
    [
        ("chat", "maximum context length is 4096 tokens"),
        ("responses", "maximum context length is 4096 tokens"),
        ("messages", "prompt is too long: 40000 tokens > 4096 maximum"),
    ],
)
def test_too_long_is_told_in_the_words_that_make_the_client_compact(dialect: Dialect, words: str) -> None:
    failure = Failure(kinds.CONTEXT_TOO_LONG, "request exceeds", status=413, window=(40000, 4096))
    status, _, body = told(failure, dialect)
    assert status == 400
    assert words in body["error"]["message"]


@pytest.mark.parametrize(
    ("dialect", "words"), [("chat", "context window"), ("messages", "prompt is too long")]
)
def test_too_long_without_figures_has_the_words_too(dialect: Dialect, words: str) -> None:
    assert words in told(Failure(kinds.CONTEXT_TOO_LONG, "odd words"), dialect)[2]["error"]["message"]
