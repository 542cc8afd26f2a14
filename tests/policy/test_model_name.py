"""What a requested model name means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.policy.model_name import Intent, intent_of

NAMES = {"qwen": "qwen", "coder": "qwen", "unsloth/gemma:4b": "unsloth/gemma:4b", "local-big": "local-big"}


@pytest.mark.parametrize(
    ("name", "intent"),
    [
        ("auto", Intent("auto")),
        ("", Intent("auto")),
        ("brainrouter/auto", Intent("auto")),
        ("brainrouter/", Intent("auto")),
        ("local", Intent("local")),
        ("brainrouter/local", Intent("local")),
        ("cloud", Intent("cloud")),
        ("brainrouter/cloud", Intent("cloud")),
        ("qwen", Intent("local", "qwen")),
        ("coder", Intent("local", "qwen")),
        ("brainrouter/coder", Intent("local", "qwen")),
        ("unsloth/gemma:4b", Intent("local", "unsloth/gemma:4b")),
        ("brainrouter/unsloth/gemma:4b", Intent("local", "unsloth/gemma:4b")),
        ("claude-sonnet-4-6", Intent("auto", made_up=True)),
        ("gpt-5", Intent("auto", made_up=True)),
        ("brainrouter/gpt-5", Intent("auto", made_up=True)),
        ("AUTO", Intent("auto", made_up=True)),
        ("locall", Intent("auto", made_up=True)),
    ],
)
def test_a_name_means(name: str, intent: Intent) -> None:
    assert intent_of(name, NAMES) == intent


def test_a_llama_swap_key_wins_over_a_mode_of_the_same_name() -> None:
    assert intent_of("cloud", {"cloud": "cloud"}) == Intent("local", "cloud")


@given(st.text(max_size=60))
def test_any_name_means_something(name: str) -> None:
    assert intent_of(name, {}).mode in ("auto", "local", "cloud")
