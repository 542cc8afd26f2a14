from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from brainrouter.wire.identity import harness_of, session_of

UUID = "0b5c6a4e-1111-2222-3333-444455556666"


def body(**fields: Any) -> dict[str, Raw]:
    return {name: Raw(json.dumps(value).encode()) for name, value in fields.items()}


@pytest.mark.parametrize(
    "name",
    [
        "x-claude-code-session-id",
        "session-id",
        "thread-id",
        "x-session-id",
        "x-session-affinity",
        "x-affinity",
        "session_id",
    ],
)
def test_each_harness_header_gives_the_session(name: str) -> None:
    assert session_of({name: UUID}, {}) == UUID


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": {"user_id": json.dumps({"device_id": "d", "session_id": UUID})}},
        {"metadata": {"user_id": f"user_abc_account__session_{UUID}"}},
        {"prompt_cache_key": UUID},
        {"client_metadata": {"session_id": UUID}},
        {"metadata": {"user_id": 3}, "prompt_cache_key": UUID},
    ],
)
def test_each_body_field_gives_the_session(fields: dict[str, Any]) -> None:
    assert session_of({}, body(**fields)) == UUID


def test_a_subagent_is_a_conversation_of_its_own() -> None:
    headers = {"x-claude-code-session-id": UUID, "x-claude-code-agent-id": "a1"}
    assert session_of(headers, {}) == f"{UUID}:a1"


@pytest.mark.parametrize("odd", ["", " ", "a b", "x" * 201, "é", "a\r\nb"])
def test_what_is_no_id_is_passed_over(odd: str) -> None:
    assert session_of({"x-session-id": odd}, body(prompt_cache_key="good")) == "good"


@pytest.mark.parametrize(
    "fields", [{}, {"metadata": None}, {"metadata": {"user_id": "{"}}, {"prompt_cache_key": [1]}]
)
def test_no_id_is_never_made_up(fields: dict[str, Any]) -> None:
    assert session_of({}, body(messages=[{"role": "system", "content": "same"}], **fields)) is None


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("claude-cli/2.1.330 (external, cli)", "claude"),
        ("codex_exec/0.169.0 (Debian 12; x86_64)", "codex"),
        ("codex_cli_rs/0.169.0", "codex"),
        ("opencode/1.18.33 ai-sdk/provider-utils/4.0", "opencode"),
        ("Mistral-Vibe/3.0.2", "vibe"),
        ("factory-cli/0.215.0", "droid"),
        ("omp/18.2.3", "omp"),
        ("pi/1.5.2 (linux)", "pi"),
        ("OpenAI/JS 6.1.0", None),
        ("python-httpx/0.28", None),
    ],
)
def test_the_user_agent_names_the_harness(agent: str, name: str | None) -> None:
    assert harness_of({"user-agent": agent}) == name


def test_a_header_of_ours_or_a_telling_one_names_the_harness_too() -> None:
    assert harness_of({"x-brainrouter-harness": "omp", "user-agent": "OpenAI/JS 6"}) == "omp"
    assert harness_of({"x-affinity": UUID}) == "vibe"
