"""What an open dashboard is told, and that it costs the others nothing."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

from brainrouter.flows.broadcast import QUEUE_FRAMES, Broadcast
from brainrouter.live import Live
from brainrouter.wire.event import RoutingEvent
from tests.daemon import Daemon, Stage, eventually
from tests.sim.handle import SimLlamaSwap
from tests.sim.scripts import answer
from tests.sse_reader import listening


def prompts(events: list[dict[str, Any]]) -> list[str]:
    return [event["prompt_excerpt"] for event in events]


def test_a_dashboard_is_told_what_was_and_then_what_happens(daemon: Daemon) -> None:
    daemon.chat("local", "before it was opened")
    with listening(daemon) as dashboard:
        name, snapshot = dashboard.next()
        assert (name, dashboard.reply.headers["content-type"]) == ("snapshot", "text/event-stream")
        assert "before it was opened" in prompts(snapshot["events"])
        assert snapshot["services"]["local"]["dot"] in ("healthy", "idle")
        daemon.chat("local", "while it is open")
        told = dashboard.until(lambda name, _: name == "routing")
        assert prompts(told) == ["while it is open"]
        assert (told[0]["side"], told[0]["status"]) == ("local", 200)


def test_the_phases_of_a_local_request_are_told() -> None:
    with (
        SimLlamaSwap() as local,
        Daemon(llama_swap=f"{local.url}/v1") as daemon,
        listening(daemon) as dashboard,
    ):

        def phase(wanted: str) -> dict[str, Any]:
            def seen(name: str, data: Any) -> bool:
                return name == "inference" and any(item["phase"] == wanted for item in data["requests"])

            return dashboard.until(seen)["requests"][0]

        words = "one two three four five six seven eight nine ten"
        local.queue(
            answer(words, load_gate="loaded", latency_s=2.5, gap_s=0.02, cut={"after": 6, "how": "gate"})
        )
        asking = threading.Thread(
            target=daemon.chat, args=("qwen-coder", "a cold start"), kwargs={"stream": True}
        )
        asking.start()
        assert phase("loading model")["model"] == "qwen-coder"
        local.release("loaded")
        assert phase("prompt processing")["tokens_per_s"] is None
        assert phase("generating")["model"] == "qwen-coder"
        assert dashboard.until(lambda name, data: name == "inference" and bool(_rates(data)))
        running = daemon.get("/api/inference-status")
        assert (running["active"], running["requests"][0]["prompt"]) == (1, "a cold start")
        local.release()
        asking.join(10)
        dashboard.until(lambda name, data: name == "inference" and data["active"] == 0)


def _rates(inference: dict[str, Any]) -> list[float]:
    return [item["tokens_per_s"] for item in inference["requests"] if item["tokens_per_s"]]


def test_a_cloud_that_rests_is_told_with_the_time_of_the_next_try(stage: Stage) -> None:
    stage.manifest.listen("refuse", drop=True)
    with listening(stage.daemon) as dashboard:
        for _ in range(3):
            stage.daemon.chat("cloud", "resting")
        told = dashboard.until(lambda name, data: name == "services" and data["cloud"]["breaker"] == "open")
    assert (told["cloud"]["dot"], 0 < told["cloud"]["retry_s"] <= 60) == ("unhealthy", True)


def test_the_stream_of_a_stopping_daemon_ends_at_once() -> None:
    with Daemon() as daemon, listening(daemon) as dashboard:
        dashboard.next()
        assert daemon.stop(within_s=5) == 0
        assert dashboard.until(lambda name, _: name == "end") is None


def test_dashboards_beyond_the_limit_are_refused_and_the_others_go_on(daemon: Daemon) -> None:
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(listening(daemon)) for _ in range(64)]
        for dashboard in opened:
            assert dashboard.next()[0] == "snapshot"
        assert daemon.send("GET", "/api/events").status == 503
        daemon.chat("local", "to all of them")
        for dashboard in opened:
            told = dashboard.until(lambda name, _: name == "routing")
            assert prompts(told) == ["to all of them"]
    eventually(lambda: _has_room(daemon))


def _has_room(daemon: Daemon) -> bool:
    with listening(daemon) as dashboard:
        return dashboard.reply.status == 200


def test_one_that_reads_too_slowly_gets_a_snapshot_in_place_of_a_queue_without_end() -> None:
    async def body() -> None:
        live = Live()
        broadcast = Broadcast(live, {}, dict, lambda: None)
        live.listeners.append(broadcast.heard)
        slow, quick = broadcast.subscribe(), broadcast.subscribe()
        for one in (slow, quick):
            assert b"event: snapshot" in (await one.take(1) or b"")
        for number in range(QUEUE_FRAMES + 1):
            event = RoutingEvent(id=number, time=0.0, dialect="chat", requested_model="auto", stream=False)
            live.over(event)
            live.tell()
            assert b"event: routing" in (await quick.take(1) or b"")
        caught_up = await slow.take(1) or b""
        assert caught_up.startswith(b"event: snapshot")
        assert caught_up.count(b"event:") == 1
        assert await slow.take(0.01) == b""
        broadcast.close()
        assert await slow.take(1) is None

    asyncio.run(body())
