"""A request that is being answered: what is known of it, as it becomes known."""

from __future__ import annotations

import asyncio

import msgspec

from brainrouter.brain.session import Session
from brainrouter.brain.verdict import Verdict
from brainrouter.policy.lean.turn import Saving
from brainrouter.policy.plan import Attempt
from brainrouter.wire.ask import Ask
from brainrouter.wire.event import RoutingEvent
from brainrouter.wire.plain_text import sayable
from brainrouter.wire.prompt_text import excerpt, last_user_text
from brainrouter.wire.whole import Facts

NO_FACTS = Facts()


class InFlight(msgspec.Struct):
    """It holds on to what the request met on its way; only `event` puts that down, which costs more than all the rest.

    `time` is wall-clock seconds, `started` monotonic ones. `phase` is what `/api/inference-status` shows. `words` are
    shown for the prompt: without any, what the user said. `folder` will tell the caller's folder (`cwd`), where its
    process can be seen. `provider` and `model` are those that were asked last, or that answered.
    """

    id: int
    time: float
    started: float
    ask: Ask
    words: str | None = None
    phase: str = "classifying"
    pieces: int = 0
    cwd: str | None = None
    folder: asyncio.Future[str | None] | None = None
    iteration: int | None = None
    verdict: Verdict | None = None
    session: Session | None = None
    pinned: str | None = None
    attempt: Attempt | None = None
    provider: str | None = None
    model: str | None = None
    attempts: list[str] = []
    escalation: str | None = None
    saving: Saving | None = None
    saved_s: float | None = None
    searches: int | None = None
    mended: str | None = None
    first_byte_ms: float | None = None

    @property
    def side(self) -> str | None:
        """The side that is asked, or that answers; None before one is."""
        return None if self.attempt is None else self.attempt.side

    def event(
        self,
        status: int | None = None,
        error: str | None = None,
        facts: Facts = NO_FACTS,
        total_ms: float | None = None,
    ) -> RoutingEvent:
        """The event as far as it is known. The arguments are what is known at the end."""
        # What is seldom there is only set where it is: setting a struct's field costs more than to ask.
        ask = self.ask
        event = RoutingEvent(
            id=self.id, time=self.time, dialect=ask.dialect, requested_model=ask.model[:200], stream=ask.stream
        )  # fmt: skip
        event.harness, event.session = ask.harness, ask.session
        if self.cwd is not None:
            event.cwd = sayable(self.cwd)
        if self.words is None:
            self.words = excerpt(last_user_text(ask))
        event.prompt_excerpt = self.words
        if self.iteration is not None:
            event.iteration = self.iteration
        if self.verdict is not None:
            self._decision(event, self.verdict)
        if self.attempt is not None:
            event.side, event.provider, event.model = self.attempt.side, self.provider, self.model
            if self.attempt.fallback:
                event.fallback = self.attempt.fallback
        if self.saving is not None:
            event.lean_tokens_before, event.lean_tokens = self.saving.before, self.saving.after
            event.lean_saved_s, event.lean_note = self.saved_s, self.saving.note or None
        if self.searches is not None or self.mended is not None or self.attempts:
            event.lean_searches, event.mended, event.attempts = self.searches, self.mended, self.attempts
        if error is not None:
            event.error = error
        event.status, event.finish = status, facts.finish
        event.first_byte_ms, event.total_ms = self.first_byte_ms, total_ms
        event.prompt_tokens, event.completion_tokens = facts.prompt_tokens, facts.completion_tokens
        event.cached_tokens = facts.cached_tokens
        return event

    def _decision(self, event: RoutingEvent, verdict: Verdict) -> None:
        event.decision, event.reason, event.stage = verdict.route, verdict.reason, verdict.stage
        event.gain, event.knob, event.turn_kind = verdict.gain, verdict.knob, verdict.kind
        event.decide_ms = int(verdict.ms * 1000) / 1000
        if verdict.ok_cloud is not None:
            event.ok_local, event.ok_cloud = verdict.ok_local, verdict.ok_cloud
        if self.escalation or verdict.escalation:
            event.escalation = self.escalation or verdict.escalation
        if self.session is not None:
            event.conversation, event.pinned = self.session.key or None, self.pinned
        if verdict.outcome is not None:
            event.outcome_of, event.outcome_ok = verdict.outcome.event, verdict.outcome.ok
            event.outcome_why = verdict.outcome.why
