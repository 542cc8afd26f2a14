"""What a decision for the local side does in `auto`, where nobody asked to stay: the relay itself, on the fakes."""

from __future__ import annotations

import asyncio
import json

import pytest

from brainrouter.adapters.upstream import Timeouts, Upstream
from brainrouter.brain.project_rules import Hold
from brainrouter.brain.verdict import Verdict
from brainrouter.flows.record import Recorder
from brainrouter.flows.relay import Relay, Running, Side
from brainrouter.http1.client import Client
from brainrouter.live import Live
from brainrouter.policy.failure import Failure
from brainrouter.policy.model_name import Intent
from brainrouter.policy.plan import Backends
from brainrouter.wire.ask import Ask
from brainrouter.wire.chat import parse_chat
from brainrouter.wire.event import RoutingEvent
from tests.daemon import Stage, chat_body
from tests.sim.scripts import Script, reset, status

PATIENCE = Timeouts(2.0, 2.0, 5.0)


async def _local(_ask: Ask, _intent: Intent, _held: Hold | None) -> Verdict:
    return Verdict("local", "easy", "llm")


async def _relayed(stage: Stage, model: str, stream: bool) -> RoutingEvent:
    client, live = Client(), Live()
    cloud = Side(Upstream(client, f"{stage.manifest.url}/v1", "cloud", PATIENCE), stage.manifest.key)
    local = Side(Upstream(client, f"{stage.llama_swap.url}/v1", "local", PATIENCE), None)
    recorder = Recorder(live, "manifest", "llama-swap")
    relay = Relay(live, _local, lambda: Backends("auto", "qwen-coder", "gemma-small"), cloud, local, recorder)
    ask = parse_chat(json.dumps(chat_body(model, stream=stream)).encode(), {})
    running = recorder.arrived(ask)
    try:
        answer = await relay.answer(ask, running)
        if isinstance(answer, Running):
            answer.close()
    finally:
        await client.close()
    return live.events[0]


def relayed(stage: Stage, model: str = "auto", *, stream: bool) -> RoutingEvent:
    return asyncio.run(_relayed(stage, model, stream))


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_too_long_for_the_local_window_goes_to_the_cloud_and_to_no_other_local_model(
    stage: Stage, stream: bool
) -> None:
    stage.llama_swap.script({"error": "overflow"})
    event = relayed(stage, stream=stream)
    assert (event.decision, event.fallback) == ("local", "local failed")
    assert event.provider == "manifest: anthropic"
    assert len([r for r in stage.llama_swap.requests() if r["method"] == "POST"]) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", [status(500), reset(), {"error": "start_failed"}])
def test_when_every_local_model_fails_the_cloud_answers(stage: Stage, fault: Script, stream: bool) -> None:
    stage.llama_swap.script(fault)
    event = relayed(stage, stream=stream)
    assert event.provider == "manifest: anthropic"
    assert [attempt.split(":")[0] for attempt in event.attempts] == [
        "llama-swap qwen-coder", "llama-swap gemma-small",
    ]  # fmt: skip


@pytest.mark.parametrize("model", ["local", "brainrouter/local"])
def test_what_was_asked_to_stay_stays(stage: Stage, model: str) -> None:
    stage.llama_swap.script({"error": "overflow"})
    with pytest.raises(Failure) as caught:
        relayed(stage, model, stream=True)
    assert caught.value.kind.name == "context_too_long"
    assert [r for r in stage.manifest.requests() if r["method"] == "POST"] == []
