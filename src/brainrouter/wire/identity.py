"""Who is asking: the conversation and the harness, from whatever each client sends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import msgspec
from msgspec import Raw

_SESSION_HEADERS = (
    "x-claude-code-session-id",  # Claude Code; omp over the messages API
    "session-id",  # Codex
    "thread-id",
    "x-session-id",  # OpenCode
    "x-session-affinity",  # OpenCode, pi with compat.sendSessionAffinityHeaders
    "x-affinity",  # Vibe
    "session_id",  # pi, older Codex
    "x-session-key",  # what Manifest reads, from whoever sets it already
)
_HARNESS_AGENTS = (
    ("claude", re.compile(r"^claude-(?:cli|code)/", re.IGNORECASE)),
    ("codex", re.compile(r"^codex[-_/ ]", re.IGNORECASE)),
    ("opencode", re.compile(r"\bopencode/", re.IGNORECASE)),
    ("vibe", re.compile(r"\b(?:mistral-)?vibe/", re.IGNORECASE)),
    ("omp", re.compile(r"\b(?:omp|oh-my-pi)(?:/|\b)", re.IGNORECASE)),
    ("pi", re.compile(r"^pi(?:-coding-agent)?[/ (]", re.IGNORECASE)),
    ("droid", re.compile(r"\b(?:factory-cli|factory-droid|droid)/", re.IGNORECASE)),
)
_HARNESS_SIGNS = (
    ("x-claude-code-session-id", "claude"),
    ("x-codex-window-id", "codex"),
    ("x-affinity", "vibe"),
)
_ID = re.compile(r"[\x21-\x7e]{1,200}")
_OLD_USER_ID = re.compile(r"_session_([0-9a-fA-F-]{8,64})$")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _Client(msgspec.Struct):
    session_id: str | None = None


_METADATA = msgspec.json.Decoder(_Metadata)
_CLIENT = msgspec.json.Decoder(_Client)
_TEXT = msgspec.json.Decoder(str | None)


def session_of(headers: Mapping[str, str], body: Mapping[str, Raw]) -> str | None:
    """The conversation's id, or None when the client sent none.

    A Claude Code subagent shares its parent's id but is a conversation of its own: its agent id is appended.
    """
    for name in _SESSION_HEADERS:
        if name in headers and _ID.fullmatch(headers[name]):
            return _with_agent(headers[name], headers)
    for read in (_from_metadata, _from_cache_key, _from_client):
        found = read(body)
        if found and _ID.fullmatch(found):
            return _with_agent(found, headers)
    return None


def harness_of(headers: Mapping[str, str]) -> str | None:
    """The harness's short name as `install` knows it, or None. `x-brainrouter-harness` says it outright."""
    said = headers.get("x-brainrouter-harness", "")
    if _NAME.fullmatch(said):
        return said
    named = _named_by(headers.get("user-agent", ""))
    if named:
        return named
    for header, name in _HARNESS_SIGNS:
        if header in headers:
            return name
    return None


@lru_cache(maxsize=256)
def _named_by(agent: str) -> str | None:
    """A client sends one user agent for ever: it is searched once."""
    return next((name for name, pattern in _HARNESS_AGENTS if pattern.search(agent)), None)


def _with_agent(session: str, headers: Mapping[str, str]) -> str:
    agent = headers.get("x-claude-code-agent-id", "")
    return f"{session}:{agent}" if _ID.fullmatch(agent) else session


def _from_metadata(body: Mapping[str, Raw]) -> str | None:
    """Claude Code: `metadata.user_id` is JSON text with session_id; older: it ends in `_session_<uuid>`."""
    if "metadata" not in body:
        return None
    try:
        user = _METADATA.decode(body["metadata"]).user_id or ""
        if user.startswith("{"):
            return _CLIENT.decode(user).session_id
    except (ValueError, RecursionError):
        return None
    old = _OLD_USER_ID.search(user)
    return old[1] if old else None


def _from_cache_key(body: Mapping[str, Raw]) -> str | None:
    """Codex, and omp and Droid where they are told to: `prompt_cache_key` is their session's id."""
    if "prompt_cache_key" not in body:
        return None
    try:
        return _TEXT.decode(body["prompt_cache_key"])
    except (ValueError, RecursionError):
        return None


def _from_client(body: Mapping[str, Raw]) -> str | None:
    if "client_metadata" not in body:
        return None
    try:
        return _CLIENT.decode(body["client_metadata"]).session_id
    except (ValueError, RecursionError):
        return None
