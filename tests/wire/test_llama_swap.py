"""llama-swap's models, read from both of its lists."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.wire.llama_swap import context_of_command, context_of_props, local_models


def listed(*rows: Any) -> bytes:
    return json.dumps({"object": "list", "data": list(rows)}).encode()


def running(*rows: Any) -> bytes:
    return json.dumps({"running": list(rows)}).encode()


def test_both_lists_are_joined() -> None:
    row = {
        "id": "qwen", "description": "a coder", "context_length": 32768, "capabilities": {"vision": True},
        "meta": {"llamaswap": {"type": "model", "aliases": ["coder", 3]}, "n_ctx": 1},
    }  # fmt: skip
    (found,) = local_models(listed(row), running({"model": "qwen", "state": "ready", "cmd": "x -c 4096"}))
    assert (found.id, found.state, found.context, found.aliases) == ("qwen", "ready", 32768, ("coder",))
    assert (found.description, found.vision) == ("a coder", True)


def test_the_window_is_taken_from_the_command_when_nobody_says_it() -> None:
    (found,) = local_models(
        listed({"id": "m"}), running({"model": "m", "state": "ready", "cmd": "s --ctx-size 8192"})
    )
    assert found.context == 8192


def test_what_does_not_run_is_stopped_and_aliases_are_no_models() -> None:
    alias = {"id": "a", "meta": {"llamaswap": {"type": "alias"}}}
    assert [(m.id, m.state) for m in local_models(listed({"id": "m"}, alias, {"no": "id"}, 3), None)] == [
        ("m", "stopped")
    ]


@pytest.mark.parametrize(
    ("body", "window"),
    [
        (b'{"default_generation_settings":{"n_ctx":6144},"n_ctx":8192}', 6144),
        (b'{"n_ctx":8192}', 8192),
        (b'{"default_generation_settings":{"n_ctx":0}}', None),
        (b'{"n_ctx":"8192"}', None),
        (b"404 page not found", None),
        (b"[" * 9999, None),
    ],
)
def test_a_servers_own_properties_say_the_window_of_one_slot(body: bytes, window: int | None) -> None:
    assert context_of_props(body) == window


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"{}", b'{"data":{}}', b"<html>", b"[" * 99_999])
def test_what_is_no_model_list_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"no model list|not JSON"):
        local_models(body, None)


@pytest.mark.parametrize(
    "body", [b"", b"404 page not found", b"[]", b'{"running":3}', b'{"running":[3,{"state":1}]}']
)
def test_an_odd_list_of_what_runs_is_as_good_as_none(body: bytes) -> None:
    assert local_models(listed({"id": "m"}), body)[0].state == "stopped"


@pytest.mark.parametrize(
    ("command", "window"),
    [
        ("llama-server -c 4096", 4096), ("llama-server --ctx-size=8192 -ngl 99", 8192), ("llama-server -c 0", None),
        ("llama-server", None), ("llama-server -c", None), ("llama-server -c x", None), ("-c 9999999999", None),
        ("llama-server \\\n  -c 4096", 4096), ("llama-server 'unclosed -c 4096", 4096), ("", None),
    ],
)  # fmt: skip
def test_the_window_of_a_command(command: str, window: int | None) -> None:
    assert context_of_command(command) == window


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(models: bytes, process: bytes) -> None:
    with contextlib.suppress(ValueError):
        local_models(models, process)
