"""What a request leaves behind: fills its event as it goes, and closes it exactly once."""

from __future__ import annotations

import asyncio
import time
from typing import cast

from brainrouter.adapters.upstream import LiveStream, Whole
from brainrouter.brain.turn_kind import HOUSEKEEPING
from brainrouter.brain.verdict import Verdict
from brainrouter.flows.tool_rounds import RoundsStream
from brainrouter.live import InFlight, Live
from brainrouter.policy import failure as kinds
from brainrouter.policy.failure import Failure
from brainrouter.policy.lean.turn import Saving
from brainrouter.policy.plan import Attempt
from brainrouter.wire.ask import Ask
from brainrouter.wire.event import RoutingEvent
from brainrouter.wire.prompt_text import excerpt, last_user_text, masked

CLIENT_CLOSED = 499
GATHER_S = 0.1
RATE_TOKENS = 64


class Recorder:
    """Turns the steps of a request into its event. Holds no state of its own."""

    def __init__(self, live: Live, cloud_name: str, local_name: str) -> None:
        self._live = live
        self._names = {"cloud": cloud_name, "local": local_name}

    def arrived(self, ask: Ask, words: str | None = None) -> InFlight:
        """A request came in. Its event shows `words`; without any, what the user said, looked up a moment later."""
        event = RoutingEvent(
            id=self._live.take_id(),
            time=time.time(),
            dialect=ask.dialect,
            requested_model=ask.model[:200],
            stream=ask.stream,
            harness=ask.harness,
            session=ask.session,
        )
        if words is None:
            asyncio.get_running_loop().call_soon(_quote, event, ask)  # while the upstream reads
        else:
            event.prompt_excerpt = excerpt(words)
        return self._live.begin(event, time.monotonic())

    def refused(self, path: str, status: int, message: str) -> None:
        """A request that could not be read: it leaves an event too, so that nobody wonders where it went."""
        event = RoutingEvent(
            id=self._live.take_id(), time=time.time(), dialect=path, requested_model="", stream=False,
            reason="refused", stage="request", status=status, error=message,
        )  # fmt: skip
        self._close(self._live.begin(event, time.monotonic()))

    def decided(self, running: InFlight, verdict: Verdict) -> None:
        event = running.event
        event.decision, event.reason, event.stage = verdict.route, verdict.reason, verdict.stage
        event.ok_local, event.ok_cloud = verdict.ok_local, verdict.ok_cloud
        event.gain, event.decide_ms = verdict.gain, round(verdict.ms, 3)
        event.knob, event.turn_kind, event.escalation = verdict.knob, verdict.kind, verdict.escalation
        session = running.session = verdict.session
        if session is not None:
            event.conversation, event.pinned = session.key or None, session.pinned
        if verdict.outcome is not None:
            event.outcome_of, event.outcome_ok = verdict.outcome.event, verdict.outcome.ok
            event.outcome_why = verdict.outcome.why
        running.phase = "waiting"

    def trying(self, running: InFlight, attempt: Attempt) -> None:
        event = running.event
        event.side, event.provider, event.model = attempt.side, self._names[attempt.side], attempt.model
        event.fallback = attempt.fallback or None
        running.phase = "waiting"

    def leaned(self, running: InFlight, model: str, saving: Saving) -> None:
        """What the lean prompt spares this local model."""
        event = running.event
        event.lean_tokens_before, event.lean_tokens = saving.before, saving.after
        event.lean_note = saving.note or None
        rate = self._live.read_rates.get(model)
        event.lean_saved_s = round(max(0, saving.before - saving.after) / rate, 1) if rate else None

    def searched(self, running: InFlight) -> None:
        """The local model asked for tools that wait, and was answered."""
        event = running.event
        event.lean_searches = (event.lean_searches or 0) + 1

    def attempt_failed(self, running: InFlight, attempt: Attempt, failure: Failure) -> None:
        running.event.attempts.append(f"{self._names[attempt.side]} {attempt.model}: {failure}")
        if failure.kind is kinds.UNFIT_ANSWER:
            self._escalated(running, failure.message)

    def _escalated(self, running: InFlight, why: str) -> None:
        """A local answer was unfit and the cloud answers in its stead: so it does until a safe point."""
        running.event.escalation = why
        if running.session is not None:
            running.session.latch(why)

    def begun(self, running: InFlight, attempt: Attempt, stream: LiveStream | RoundsStream) -> None:
        _landed(running, attempt)
        running.event.mended = stream.mended or None
        running.event.first_byte_ms = self._since(running)
        running.phase = "generating"
        self._serving(running.event, attempt, stream.headers)
        running.event.model = self._real_model(attempt, stream.headers, stream.watch.model)

    def whole(self, running: InFlight, attempt: Attempt, answer: Whole) -> None:
        """A whole answer is there; the request is over once it is written, which is now for our part."""
        _landed(running, attempt)
        event, facts = running.event, answer.facts
        event.mended = answer.mended or None
        event.first_byte_ms = self._since(running)
        self._serving(event, attempt, answer.headers)
        event.model = self._real_model(attempt, answer.headers, facts.model)
        event.status, event.finish = answer.status, facts.finish
        event.prompt_tokens, event.completion_tokens = facts.prompt_tokens, facts.completion_tokens
        event.cached_tokens = facts.cached_tokens
        if attempt.side == "local":
            self._learn_rate(attempt.model, answer.document.get("timings"))
        self._close(running)

    def streamed(self, running: InFlight, stream: LiveStream | RoundsStream, failure: Failure | None) -> None:
        event, watch = running.event, stream.watch
        event.status, event.finish = 200, watch.finish
        if watch.usage is not None:
            event.prompt_tokens, event.completion_tokens = watch.usage.prompt, watch.usage.completion
            event.cached_tokens = watch.usage.cached
        if failure is not None:
            event.error = str(failure)
        if event.side == "local" and event.model:
            self._learn_rate(event.model, watch.timings)
        self._close(running)

    def failed(self, running: InFlight, failure: Failure) -> None:
        running.event.status, running.event.error = failure.status, str(failure)
        self._close(running)

    def client_gone(self, running: InFlight) -> None:
        running.event.status, running.event.error = CLIENT_CLOSED, "the client left"
        self._close(running)

    def _close(self, running: InFlight) -> None:
        event = running.event
        event.total_ms = self._since(running)
        if event.error:
            event.error = masked(event.error)
        if self._live.finish(running):
            asyncio.get_running_loop().call_later(GATHER_S, self._live.tell)

    def _learn_rate(self, model: str, timings: object) -> None:
        """How fast the model reads a prompt, from an answer that had enough of one to tell."""
        if not isinstance(timings, dict):
            return
        told = cast("dict[str, object]", timings)
        read, took = told.get("prompt_n"), told.get("prompt_ms")
        if isinstance(read, int) and isinstance(took, int | float) and read >= RATE_TOKENS and took > 0:
            self._live.read_rates[model] = read * 1000 / took

    def _serving(self, event: RoutingEvent, attempt: Attempt, headers: dict[str, str]) -> None:
        provider = headers.get("x-manifest-provider") if attempt.side == "cloud" else None
        event.provider = f"{self._names[attempt.side]}: {provider}" if provider else self._names[attempt.side]

    def _real_model(self, attempt: Attempt, headers: dict[str, str], said: str | None) -> str:
        if attempt.side == "local":
            return attempt.model
        return headers.get("x-manifest-model") or said or attempt.model

    def _since(self, running: InFlight) -> float:
        """Milliseconds, to the microsecond. (`round` would go through the digits: three times the cost.)"""
        return int((time.monotonic() - running.started) * 1e6) / 1000


def _quote(event: RoutingEvent, ask: Ask) -> None:
    event.prompt_excerpt = excerpt(last_user_text(ask))


def _landed(running: InFlight, attempt: Attempt) -> None:
    """The conversation goes on where it was answered. Housekeeping is no part of it."""
    if running.session is not None and running.event.turn_kind not in HOUSEKEEPING:
        spoke = running.event.turn_kind in ("main", "subagent")
        running.session.landed(attempt.side, running.event.id if spoke else None)
