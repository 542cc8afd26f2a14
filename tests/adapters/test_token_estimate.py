"""The estimate of tokens beside the embedded model's real tokenizer."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from brainrouter.wire.messages import parse_messages
from brainrouter.wire.token_estimate import IMAGE_TOKENS, estimate, text_tokens
from tests.adapters.embedded_rig import request, started

ROOT = Path(__file__).resolve().parents[2]
TOOL = {
    "type": "object",
    "properties": {name: {"type": "string", "description": f"The {name}."} for name in ("path", "text")},
}
SAMPLES = {
    "code": (ROOT / "src/brainrouter/wire/blocks.py").read_text(encoding="utf-8"),
    "prose": (ROOT / "docs/protocols.md").read_text(encoding="utf-8"),
    "yaml": (ROOT / "openapi.yaml").read_text(encoding="utf-8")[:9000],
    "tool schemas": json.dumps([{"name": f"tool_{n}", "input_schema": TOOL} for n in range(12)]),
}


async def _tokens() -> dict[str, int]:
    async with started() as watched:
        await watched.until(lambda status: status["state"] == "ready")
        found: dict[str, int] = {}
        for name, text in SAMPLES.items():
            status, body = await asyncio.to_thread(request, watched.it, "/tokenize", {"content": text})
            assert status == 200
            found[name] = len(json.loads(body)["tokens"])
        return found


def test_the_estimate_is_near_the_real_tokenizers_count() -> None:
    for name, real in asyncio.run(_tokens()).items():
        guessed = text_tokens(SAMPLES[name].encode())
        assert abs(guessed / real - 1) < 0.25, (name, guessed, real)


def _estimate(*blocks: dict[str, Any]) -> int:
    return estimate(
        parse_messages(json.dumps({"messages": [{"role": "user", "content": list(blocks)}]}).encode(), {})
    )


def test_an_image_counts_as_an_image_and_not_as_its_letters() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 90_000}}
    text = {"type": "text", "text": "look"}
    assert _estimate(text, image) - _estimate(text) == IMAGE_TOKENS


def test_a_request_that_cannot_be_taken_apart_is_still_estimated() -> None:
    assert _estimate({"type": "text", "text": 5}) > 0
