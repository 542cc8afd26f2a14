"""A long text's tokens from samples of it: near what all of it would say, whatever it is made of."""

from __future__ import annotations

import json
import random
from pathlib import Path

import msgspec
import pytest

from brainrouter.wire.token_estimate import rough_tokens, text_tokens

SOURCES = sorted(Path(__file__).parents[1].rglob("*.py"))


def conversation(size: int, seed: int) -> bytes:
    pick = random.Random(seed)
    turns: list[dict[str, str]] = []
    while sum(len(turn["content"]) for turn in turns) < size:
        turns.append({"role": "user", "content": pick.choice(SOURCES).read_text(encoding="utf-8")})
    return json.dumps(turns).encode()


@pytest.mark.parametrize("size", [40_000, 200_000, 600_000])
def test_samples_of_a_long_conversation_tell_its_tokens(size: int) -> None:
    for seed in range(5):
        text = conversation(size, seed)
        assert rough_tokens(text) == pytest.approx(text_tokens(text), rel=0.05)  # pyright: ignore[reportUnknownMemberType]


def test_a_short_text_is_read_whole() -> None:
    text = conversation(1, 1)[:32_000]
    assert rough_tokens(text) == text_tokens(text)
    assert rough_tokens(b"") == 0.0


def test_undecoded_json_is_as_good_as_bytes() -> None:
    text = conversation(50_000, 2)
    assert rough_tokens(msgspec.json.decode(text, type=msgspec.Raw)) == rough_tokens(text)
