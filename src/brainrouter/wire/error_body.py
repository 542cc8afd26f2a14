"""Errors in the caller's own dialect: as a body, as the last frame of a stream, and in words clients parse."""

from __future__ import annotations

from typing import Any

import msgspec

from brainrouter.wire.ask import Dialect
from brainrouter.wire.sse import frame

_ENCODER = msgspec.json.Encoder()

_OPENAI_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# What our own kinds of failure are called by clients that act on `code`.
_CODES = {
    "context_too_long": "context_length_exceeded",
    "rate_limited": "rate_limit_exceeded",
    "budget_spent": "insufficient_quota",
    "unauthorised": "invalid_api_key",
    "unknown_model": "model_not_found",
    "busy": "server_is_overloaded",
}


def error_body(
    dialect: Dialect,
    *,
    status: int,
    message: str,
    kind: str | None = None,
    param: str | None = None,
    code: str | None = None,
) -> bytes:
    """The JSON body of an error answer. `kind` is one of ours; `code` overrides what clients are told it is."""
    if dialect == "messages":
        return _ENCODER.encode(_anthropic(status, message))
    return _ENCODER.encode({"error": _openai(status, message, kind, param, code)})


def error_frame(
    dialect: Dialect,
    *,
    status: int,
    message: str,
    kind: str | None = None,
    param: str | None = None,
    code: str | None = None,
) -> bytes:
    """What ends a stream that broke, so that the client's own parser raises instead of seeing an end."""
    if dialect == "messages":
        return frame(_ENCODER.encode(_anthropic(status, message)), "error")
    error = _openai(status, message, kind, param, code)
    if dialect == "chat":
        return frame(_ENCODER.encode({"error": error}))
    return _unbegun(error)


def failed_response(
    response: dict[str, Any], number: int, *, status: int, message: str, kind: str | None = None
) -> bytes:
    """`error_frame` of the responses dialect for a response that had begun: `number` is its next event's."""
    return _responses_frames(_openai(status, message, kind, None, None), response, number)


def overflow_message(dialect: Dialect, n_prompt: int | None, n_ctx: int | None) -> str:
    """The words by which the dialect's clients know that the prompt must be compacted."""
    known = n_prompt is not None and n_ctx is not None
    if dialect == "messages":
        return f"prompt is too long: {n_prompt} tokens > {n_ctx} maximum" if known else "prompt is too long"
    if not known:
        return (
            "Your input exceeds the context window of this model. Please reduce the length of the messages."
        )
    return (
        f"This model's maximum context length is {n_ctx} tokens. However, your messages resulted in "
        f"{n_prompt} tokens. Please reduce the length of the messages."
    )


def _openai(
    status: int, message: str, kind: str | None, param: str | None, code: str | None
) -> dict[str, Any]:
    default = "server_error" if status >= 500 else "invalid_request_error"
    return {
        "message": message,
        "type": _OPENAI_TYPES.get(status, default),
        "param": param,
        "code": code if code is not None else _CODES.get(kind or "", kind),
    }


def _anthropic(status: int, message: str) -> dict[str, Any]:
    default = "api_error" if status >= 500 else "invalid_request_error"
    return {"type": "error", "error": {"type": _ANTHROPIC_TYPES.get(status, default), "message": message}}


def _unbegun(error: dict[str, Any]) -> bytes:
    """A failure told as a response of its own: clients want to see one created before it fails."""
    response: dict[str, Any] = {
        "id": "resp_failed",
        "object": "response",
        "status": "in_progress",
        "output": [],
        "error": None,
    }
    created = {"type": "response.created", "sequence_number": 0, "response": response}
    return frame(_ENCODER.encode(created), "response.created") + _responses_frames(error, response, 1)


def _responses_frames(error: dict[str, Any], response: dict[str, Any], number: int) -> bytes:
    """`response.failed`, which Codex reads, then `error`, at which the official SDKs raise."""
    code = error["code"] or error["type"]
    failed: dict[str, Any] = {
        "type": "response.failed",
        "sequence_number": number,
        "response": {
            **response,
            "status": "failed",
            "error": {"code": code, "message": error["message"]},
        },
    }
    told: dict[str, Any] = {
        "type": "error",
        "sequence_number": number + 1,
        "code": code,
        "message": error["message"],
        "param": error["param"],
        "error": error,
    }
    return frame(_ENCODER.encode(failed), "response.failed") + frame(_ENCODER.encode(told), "error")
