"""What an upstream's error status and body mean."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.policy.failure import Failure
from brainrouter.policy.upstream_error import failure_of, retry_after
from brainrouter.wire.ask import Route

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def seen(side: Route, status: int, body: Any = b"", **headers: str) -> Failure:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return failure_of(
        side, status, {name.replace("_", "-"): value for name, value in headers.items()}, raw, NOW
    )


@pytest.mark.parametrize(
    ("status", "cloud", "local"),
    [
        (400, "refused", "refused"),
        (401, "unauthorised", "unauthorised"),
        (402, "budget_spent", "budget_spent"),
        (403, "unauthorised", "unauthorised"),
        (404, "refused", "unknown_model"),
        (408, "upstream_error", "upstream_error"),
        (409, "refused", "refused"),
        (413, "refused", "refused"),
        (422, "refused", "refused"),
        (429, "rate_limited", "rate_limited"),
        (500, "upstream_error", "upstream_error"),
        (502, "upstream_error", "upstream_error"),
        (503, "upstream_error", "upstream_error"),
        (504, "upstream_error", "upstream_error"),
        (529, "upstream_error", "upstream_error"),
    ],
)
def test_a_status_means(status: int, cloud: str, local: str) -> None:
    for side, name in (("cloud", cloud), ("local", local)):
        found = seen(side, status)  # type: ignore[arg-type]
        assert (found.kind.name, found.status) == (name, status)
        assert found.message


@pytest.mark.parametrize("status", [100, 101, 201, 202, 204, 206, 301, 302, 304, 307, 600, 999])
def test_a_status_that_is_neither_an_answer_nor_an_error_never_reaches_the_caller(status: int) -> None:
    assert seen("cloud", status).status == 502


def test_redirects_are_malformed_so_that_another_attempt_is_made() -> None:
    assert seen("cloud", 307).kind.name == "malformed"


OVERFLOWS: list[Any] = [
    {"error": {"code": 400, "type": "exceed_context_size_error", "message": "request (40000 tokens) exceeds the "
               "available context size (4096 tokens), try increasing it", "n_prompt_tokens": 40000, "n_ctx": 4096}},
    {"error": {"message": "This model's maximum context length is 4096 tokens. However, your messages resulted in "
               "40000 tokens.", "type": "invalid_request_error", "code": "context_length_exceeded"}},
    {"type": "error", "error": {"type": "invalid_request_error",
                                "message": "prompt is too long: 40000 tokens > 4096 maximum"}},
]  # fmt: skip


@pytest.mark.parametrize("body", OVERFLOWS)
@pytest.mark.parametrize("status", [400, 413, 500])
def test_a_request_that_does_not_fit_is_known_by_type_and_by_words(body: Any, status: int) -> None:
    found = seen("local", status, body)
    assert (found.kind.name, found.window) == ("context_too_long", (40000, 4096))
    assert not found.kind.trips


def test_the_clouds_own_body_is_kept_and_a_local_one_is_not() -> None:
    body = {"error": {"message": "no", "type": "x"}}
    assert json.loads(seen("cloud", 400, body).body or b"") == body
    assert seen("local", 400, body).body is None
    assert seen("cloud", 400).body is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"src": "llama-swap", "error": "no router"}, "no router"),
        ({"src": "llama-swap", "error": {"message": "not ready", "type": "server_error"}}, "not ready"),
        ({"message": "Cannot POST", "statusCode": 404}, "Cannot POST"),
        (b"plain words", "plain words"),
        (b"<html><body><h1>Bad gateway</h1></body></html>", "Bad gateway"),
        (b"", "the cloud side answered with status 500"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_the_upstreams_words_are_found_in_every_shape(body: Any, message: str) -> None:
    assert seen("cloud", 500, body).message == message


@pytest.mark.parametrize("key", ["sk-abcdefgh12345678", "mnfst_abcdef123456", "Bearer abcdefghijkl"])
def test_a_key_that_the_upstream_repeats_goes_no_further(key: str) -> None:
    found = seen("cloud", 401, {"error": {"message": f"Incorrect API key provided: {key}. See the docs"}})
    assert key not in f"{found} {found.message} {found.args}"
    assert "See the docs" in found.message


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None), ("", None), ("7", 7.0), ("1.5", 1.5), ("0", 0.0), ("-3", 0.0), ("soon", None), ("nan", None),
        ("inf", None), ("1e999", None), ("-inf", None), ("9" * 400, None), ("1e30", 86_400.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(days=9), usegmt=True), 0.0),
        ("Wed, 21 Oct 2037 07:28:00 GMT", 86_400.0),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", None),
        ("Thu, 01 Jan 2026 00:01:00 -0000", 60.0),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date_or_nothing(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@given(
    st.text(max_size=60)
    | st.from_regex(r"\A[A-Z][a-z]{2}, \d{1,30} [A-Z][a-z]{2} \d{1,30} \d\d:\d\d:\d\d .{0,6}\Z")
)
def test_any_retry_after_is_a_usable_number_or_none(value: str) -> None:
    found = retry_after(value, NOW)
    assert found is None or 0 <= found <= 86_400


def test_a_wait_is_what_the_upstream_said_and_never_invented() -> None:
    assert seen("cloud", 429).retry_after_s is None
    assert seen("cloud", 429, retry_after="17").retry_after_s == 17.0
    assert seen("cloud", 503, retry_after="17").retry_after_s == 17.0
    assert seen("cloud", 503).retry_after_s is None


@given(
    st.sampled_from(["cloud", "local"]), st.integers(100, 999), st.binary(max_size=200), st.text(max_size=20)
)
def test_any_error_at_all_becomes_a_failure_with_words_and_an_error_status(
    side: Route, status: int, body: bytes, wait: str
) -> None:
    found = failure_of(side, status, {"retry-after": wait}, body, NOW)
    assert 400 <= found.status < 600
    assert found.message
