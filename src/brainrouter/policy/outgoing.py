"""What is sent to an upstream: path, headers and body. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import msgspec

from brainrouter.policy import adapt, lean
from brainrouter.policy import failure as kinds
from brainrouter.policy.failure import Failure
from brainrouter.policy.plan import Attempt
from brainrouter.wire.ask import Ask
from brainrouter.wire.json_body import with_fields

PATHS = {"chat": "/chat/completions", "messages": "/messages", "responses": "/responses"}

_MESSAGES = msgspec.json.Decoder(list[dict[str, Any]])

# Never passed on: hop-by-hop, framing, the caller's credentials for us, what a browser adds, our own.
_NOT_FORWARDED = frozenset(
    {
        "host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "te",
        "trailer", "upgrade", "expect", "authorization", "proxy-authorization", "x-api-key", "cookie",
        "accept-encoding", "content-type", "origin", "referer", "forwarded", "x-forwarded-for", "x-forwarded-host",
        "x-forwarded-proto", "x-real-ip", "x-session-key",
    }
)  # fmt: skip
_NOT_FORWARDED_PREFIXES = ("sec-", "x-brainrouter-", "access-control-")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request to an upstream. `path` is relative to the upstream's base path."""

    path: str
    headers: list[tuple[bytes, bytes]]
    body: bytes


def to_cloud(ask: Ask, attempt: Attempt, key: str | None) -> Outgoing:
    """The caller's own request with the model set: body and headers otherwise as they came.

    Manifest reads the key from Authorization only, and keeps a conversation on one provider by x-session-key
    (reference: Manifest's agent-key guard and momentum).
    """
    headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in ask.headers.items()
        if name not in _NOT_FORWARDED and not name.startswith(_NOT_FORWARDED_PREFIXES)
    ]
    headers += _always(key)
    if ask.session:
        headers.append((b"x-session-key", ask.session.encode("latin-1", "replace")))
    body = ask.raw if ask.model == attempt.model else with_fields(ask.body, model=attempt.model)
    return Outgoing(PATHS[ask.dialect], headers, body)


def to_local(ask: Ask, attempt: Attempt, key: str | None, lean_override: str | None) -> Outgoing:
    """The request as a local chat template takes it: roles adapted, heavy system prose replaced, usage asked for.

    Raises Failure for messages that pass as bytes but cannot be taken apart (nested to the very limit).
    """
    headers = [(b"accept", b"application/json"), *_always(key)]
    if key:
        headers.append((b"x-api-key", key.encode("latin-1")))
    if ask.session:
        headers.append((b"x-session-id", ask.session.encode("latin-1", "replace")))
    try:
        body = _local_body(ask, attempt.model, lean_override)
    except RecursionError:
        raise Failure(kinds.REFUSED, "messages: nested too deeply") from None
    return Outgoing(PATHS["chat"], headers, body)


def _local_body(ask: Ask, model: str, lean_override: str | None) -> bytes:
    messages = adapt.adapt(_MESSAGES.decode(ask.body["messages"]))
    system = adapt.system_of(messages)
    if lean.is_heavy(system):
        messages = adapt.with_system(messages, lean.lean(system, lean_override))
    changes: dict[str, Any] = {"model": model, "messages": messages}
    if ask.stream:
        changes["stream_options"] = {**_options(ask), "include_usage": True}
    return with_fields(ask.body, **changes)


def _always(key: str | None) -> list[tuple[bytes, bytes]]:
    headers = [(b"content-type", b"application/json"), (b"accept-encoding", b"identity")]
    if key:
        headers.append((b"authorization", b"Bearer " + key.encode("latin-1")))
    return headers


def _options(ask: Ask) -> dict[str, Any]:
    raw = ask.body.get("stream_options")
    try:
        found: Any = msgspec.json.decode(raw) if raw is not None else None
    except RecursionError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
