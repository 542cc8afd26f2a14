"""What a request leaves behind: gathers it as it goes, and writes it down exactly once, when its answer has left."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import cast

from brainrouter.adapters.upstream import LiveStream, Whole
from brainrouter.brain.turn_kind import HOUSEKEEPING
from brainrouter.brain.verdict import Verdict
from brainrouter.flows.tool_rounds import RoundsStream
from brainrouter.in_flight import NO_FACTS, InFlight
from brainrouter.live import Live
from brainrouter.policy import failure as kinds
from brainrouter.policy.failure import Failure
from brainrouter.policy.lean.turn import Saving
from brainrouter.policy.plan import Attempt
from brainrouter.wire.ask import Ask
from brainrouter.wire.event import RoutingEvent
from brainrouter.wire.prompt_text import excerpt, masked
from brainrouter.wire.whole import Facts

CLIENT_CLOSED = 499
GATHER_S = 0.1
RATE_TOKENS = 64

_log = logging.getLogger("brainrouter.record")

# A request that is over: its HTTP status, its error, what its answer said of itself, milliseconds in all.
_Over = tuple[InFlight, int | None, str | None, Facts, float]


class Recorder:
    """Turns the steps of a request into its event. Make it within the running event loop.

    On the way of a request it only keeps what it is given: the event is made of it once the answer has left.
    """

    def __init__(self, live: Live, cloud_name: str, local_name: str) -> None:
        self._live = live
        self._names = {"cloud": cloud_name, "local": local_name}
        self._loop = asyncio.get_running_loop()
        self._over: list[_Over] = []

    def arrived(self, ask: Ask, words: str | None = None) -> InFlight:
        """A request came in. Its event shows `words`; without any, what the user said."""
        shown = None if words is None else excerpt(words)
        running = InFlight(self._live.take_id(), time.time(), time.monotonic(), ask, shown)
        self._live.in_flight[running.id] = running
        return running

    def refused(self, path: str, status: int, message: str) -> None:
        """A request that could not be read: it leaves an event too, so that nobody wonders where it went."""
        event = RoutingEvent(
            id=self._live.take_id(), time=time.time(), dialect=path, requested_model="", stream=False,
            reason="refused", stage="request", status=status, error=masked(message), total_ms=0.0,
        )  # fmt: skip
        self._keep(event)

    def decided(self, running: InFlight, verdict: Verdict) -> None:
        running.verdict = verdict
        session = running.session = verdict.session
        if session is not None:
            running.pinned = session.pinned
        running.phase = "waiting"

    def trying(self, running: InFlight, attempt: Attempt) -> None:
        running.attempt = attempt
        running.provider, running.model = self._names[attempt.side], attempt.model
        running.phase = "waiting"

    def leaned(self, running: InFlight, model: str, saving: Saving) -> None:
        """What the lean prompt spares this local model."""
        running.saving = saving
        rate = self._live.read_rates.get(model)
        running.saved_s = round(max(0, saving.before - saving.after) / rate, 1) if rate else None

    def searched(self, running: InFlight) -> None:
        """The local model asked for tools that wait, and was answered."""
        running.searches = (running.searches or 0) + 1

    def attempt_failed(self, running: InFlight, attempt: Attempt, failure: Failure) -> None:
        running.attempts.append(f"{self._names[attempt.side]} {attempt.model}: {failure}")
        if failure.kind is kinds.UNFIT_ANSWER:
            self._escalated(running, failure.message)

    def _escalated(self, running: InFlight, why: str) -> None:
        """A local answer was unfit and the cloud answers in its stead: so it does until a safe point."""
        running.escalation = why
        if running.session is not None:
            running.session.latch(why)

    def begun(self, running: InFlight, attempt: Attempt, stream: LiveStream | RoundsStream) -> None:
        _landed(running, attempt)
        if stream.mended:
            running.mended = stream.mended
        running.first_byte_ms = _since(running)
        running.phase = "generating"
        self._serving(running, attempt, stream.headers, stream.watch.model)

    def whole(self, running: InFlight, attempt: Attempt, answer: Whole) -> None:
        """A whole answer is there; the request is over once it is written, which is now for our part."""
        _landed(running, attempt)
        if answer.mended:
            running.mended = answer.mended
        took = running.first_byte_ms = _since(running)
        self._serving(running, attempt, answer.headers, answer.facts.model)
        if attempt.side == "local":
            self._learn_rate(attempt.model, answer.document.get("timings"))
        self._close(running, answer.status, None, answer.facts, took)

    def streamed(self, running: InFlight, stream: LiveStream | RoundsStream, failure: Failure | None) -> None:
        watch, usage = stream.watch, stream.watch.usage
        if usage is None:
            facts = Facts(finish=watch.finish)
        else:
            facts = Facts(None, watch.finish, usage.prompt, usage.completion, usage.cached)
        if running.side == "local" and running.model:
            self._learn_rate(running.model, watch.timings)
        self._close(running, 200, None if failure is None else str(failure), facts)

    def failed(self, running: InFlight, failure: Failure) -> None:
        self._close(running, failure.status, str(failure))

    def client_gone(self, running: InFlight) -> None:
        self._close(running, CLIENT_CLOSED, "the client left")

    def _close(
        self,
        running: InFlight,
        status: int | None,
        error: str | None,
        facts: Facts = NO_FACTS,
        total_ms: float | None = None,
    ) -> None:
        """The request is over, once; it is put down with the loop's next round, when its answer has left."""
        if self._live.in_flight.pop(running.id, None) is None:
            return
        if not self._over:
            self._loop.call_soon(self._put_down)
        self._over.append((running, status, error, facts, _since(running) if total_ms is None else total_ms))

    def _put_down(self) -> None:
        over, self._over = self._over, []
        for running, status, error, facts, total_ms in over:
            try:
                self._keep(running.event(status, error and masked(error), facts, total_ms))
            except Exception:  # one that cannot be told must not take the others along
                _log.exception("the event of a request is lost")

    def _keep(self, event: RoutingEvent) -> None:
        if self._live.over(event):
            self._loop.call_later(GATHER_S, self._live.tell)

    def _learn_rate(self, model: str, timings: object) -> None:
        """How fast the model reads a prompt, from an answer that had enough of one to tell."""
        if not isinstance(timings, dict):
            return
        told = cast("dict[str, object]", timings)
        read, took = told.get("prompt_n"), told.get("prompt_ms")
        if isinstance(read, int) and isinstance(took, int | float) and read >= RATE_TOKENS and took > 0:
            self._live.read_rates[model] = read * 1000 / took

    def _serving(
        self, running: InFlight, attempt: Attempt, headers: dict[str, str], said: str | None
    ) -> None:
        """Who answered; `said` is the model that the answer names."""
        if attempt.side == "cloud":
            provider = headers.get("x-manifest-provider")
            running.provider = f"{self._names['cloud']}: {provider}" if provider else self._names["cloud"]
            running.model = headers.get("x-manifest-model") or said or attempt.model


def _since(running: InFlight) -> float:
    """Milliseconds, to the microsecond. (`round` would go through the digits: three times the cost.)"""
    return int((time.monotonic() - running.started) * 1e6) / 1000


def _landed(running: InFlight, attempt: Attempt) -> None:
    """The conversation goes on where it was answered. Housekeeping is no part of it."""
    session, verdict = running.session, running.verdict
    if session is not None and verdict is not None and verdict.kind not in HOUSEKEEPING:
        session.landed(attempt.side, running.id if verdict.kind in ("main", "subagent") else None)
