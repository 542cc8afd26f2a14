"""The windows of local models: as the operator says, as the command says, as the running server says."""

from __future__ import annotations

import asyncio
import json

from brainrouter.adapters.upstream import Timeouts, Upstream
from brainrouter.flows.relay import Side
from brainrouter.flows.watch_backends import BackendWatch
from brainrouter.http1.client import Client
from brainrouter.live import Live
from tests.daemon import chat_body
from tests.sim.handle import SimLlamaSwap

MODELS = [
    {"id": "said", "context": 32768, "slot": 1},
    {"id": "command", "cmd": "llama-server -m x.gguf -c 8192", "slot": 1},
    {"id": "org/asked:7b", "slot": 6144},
]


async def _looks(swap: SimLlamaSwap) -> list[dict[str, int | None]]:
    client, live = Client(), Live()
    side = Side(Upstream(client, f"{swap.url}/v1", "local", Timeouts(5, 5, 5)), None)
    watch = BackendWatch(live, None, side)
    found: list[dict[str, int | None]] = []

    async def look() -> None:
        await watch.look()
        found.append({model.id: model.context for model in live.local_models})

    try:
        await look()
        for model in MODELS:
            await side.upstream.post(
                "/chat/completions", None, json.dumps(chat_body(str(model["id"]))).encode(), 5
            )
            await look()
        await side.upstream.post("~/api/models/unload", None, b"{}", 5)
        await look()
    finally:
        await client.close()
    return found


def test_a_running_server_is_asked_and_what_it_said_is_remembered() -> None:
    with SimLlamaSwap(models=MODELS) as swap:
        cold, *_, warm, stopped = asyncio.run(_looks(swap))
    assert cold == {"said": 32768, "command": None, "org/asked:7b": None}
    assert warm == {"said": 32768, "command": 8192, "org/asked:7b": 6144}
    assert stopped == warm
