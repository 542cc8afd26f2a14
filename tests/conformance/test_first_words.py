"""Each protocol's own SDK gets an answer from either side, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.daemon import Stage


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as running:
        yield running


@pytest.mark.parametrize("model", ["local", "cloud"])
def test_the_anthropic_sdk_reads_an_answer_whole_and_streamed(stage: Stage, model: str) -> None:
    client = anthropic.Anthropic(base_url=stage.daemon.base_url, auth_token="x", max_retries=0)
    asked: Any = {"model": model, "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}
    with client:
        whole = client.messages.create(**asked)
        with client.messages.stream(**asked) as stream:
            streamed = stream.get_final_message()
    for message in (whole, streamed):
        blocks = [block.to_dict() for block in message.content]
        assert [(block["type"], block["text"]) for block in blocks] == [("text", "Hello from the sim.")]
        assert message.stop_reason == "end_turn"
        assert (message.usage.input_tokens, message.usage.output_tokens) == (12, 7)


@pytest.mark.parametrize("model", ["local", "cloud"])
def test_the_openai_sdk_reads_a_response_whole_and_streamed(stage: Stage, model: str) -> None:
    client = openai.OpenAI(base_url=f"{stage.daemon.base_url}/v1", api_key="x", max_retries=0)
    with client:
        whole = client.responses.create(model=model, input="hi")
        with client.responses.stream(model=model, input="hi") as stream:
            streamed = stream.get_final_response()
    for response in (whole, streamed):
        assert response.output_text == "Hello from the sim."
        assert response.status == "completed"
        assert response.usage is not None
        assert response.usage.total_tokens == 19
