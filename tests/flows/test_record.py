"""What a request leaves behind, and when."""

from __future__ import annotations

import asyncio

from brainrouter.brain.verdict import Verdict
from brainrouter.flows.record import CLIENT_CLOSED, Recorder
from brainrouter.live import Live
from brainrouter.policy import failure as kinds
from brainrouter.policy.failure import Failure
from brainrouter.policy.plan import Attempt
from brainrouter.wire.ask import Ask
from brainrouter.wire.chat import parse_chat

VERDICT = Verdict("cloud", "hard", "heads", gain=0.4, ok_local=0.3, ok_cloud=0.7, ms=1.23456)


def ask(text: str = "hello") -> Ask:
    return parse_chat(b'{"model":"auto","messages":[{"role":"user","content":"%b"}]}' % text.encode(), {})


def test_an_event_is_written_once_and_not_before_the_answer_can_have_left() -> None:
    async def scene() -> None:
        live = Live()
        recorder = Recorder(live, "manifest", "llama-swap")
        running = recorder.arrived(ask())
        recorder.decided(running, VERDICT)
        recorder.trying(running, Attempt("cloud", "auto"))
        recorder.client_gone(running)
        recorder.failed(running, Failure(kinds.INTERNAL, "too late"))
        assert (list(live.events), live.in_flight) == ([], {})
        await asyncio.sleep(0)
        (event,) = live.events
        assert (event.status, event.error, event.side) == (CLIENT_CLOSED, "the client left", "cloud")
        assert (event.decision, event.gain, event.decide_ms) == ("cloud", 0.4, 1.234)
        assert event.prompt_excerpt == "hello"
        assert live.totals().errors == 1

    asyncio.run(scene())


def test_what_runs_can_be_shown_at_every_step() -> None:
    async def scene() -> None:
        recorder = Recorder(Live(), "manifest", "llama-swap")
        running = recorder.arrived(ask(), "words of ours")
        assert (running.side, running.event().decision, running.event().gain) == (None, None, None)
        recorder.decided(running, VERDICT)
        recorder.trying(running, Attempt("local", "small", "cloud failed"))
        event = running.event()
        assert (event.decision, event.side, event.provider) == ("cloud", "local", "llama-swap")
        assert (event.model, event.fallback, event.prompt_excerpt) == (
            "small",
            "cloud failed",
            "words of ours",
        )
        assert (event.status, event.total_ms) == (None, None)

    asyncio.run(scene())


def test_one_event_that_cannot_be_told_does_not_take_the_others_along() -> None:
    async def scene() -> None:
        live = Live()
        recorder = Recorder(live, "manifest", "llama-swap")
        asked = [ask("first"), ask("second"), ask("third")]
        for running in map(recorder.arrived, asked):
            recorder.client_gone(running)
        asked[1].model = None  # type: ignore[assignment]
        await asyncio.sleep(0)
        assert [event.prompt_excerpt for event in live.events] == ["third", "first"]
        recorder.client_gone(recorder.arrived(ask("fourth")))
        await asyncio.sleep(0)
        assert live.events[0].prompt_excerpt == "fourth"

    asyncio.run(scene())
