"""Answer an ask from the first attempt that gives a real answer. The path every generation takes."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from brainrouter.adapters.upstream import LiveStream, Sink, Upstream, Whole
from brainrouter.brain.project_rules import Hold
from brainrouter.brain.verdict import Verdict
from brainrouter.flows.fitness import Fitness
from brainrouter.flows.record import Recorder
from brainrouter.flows.tool_rounds import RoundsStream, ToolRounds
from brainrouter.in_flight import InFlight
from brainrouter.live import Live
from brainrouter.policy import breaker as breakers
from brainrouter.policy import failure as kinds
from brainrouter.policy.failure import Failure
from brainrouter.policy.model_name import Intent, intent_of, overruled
from brainrouter.policy.outgoing import DIALECTS, Outgoing, to_cloud, to_local
from brainrouter.policy.plan import Attempt, Backends, last_word, next_after, plan, worth_telling
from brainrouter.wire.ask import Ask, Dialect, Route
from brainrouter.wire.inward import Inward, Stamp
from brainrouter.wire.translate import inward

Decide = Callable[[Ask, Intent, Hold | None], Awaitable[Verdict]]
# What the caller's project says of a request, given its folder or what will tell it.
Guard = Callable[[Ask, bytes, str | None, asyncio.Future[str | None] | None], Awaitable[Hold | None]]


@dataclass(frozen=True, slots=True)
class Side:
    """One side: how to reach it, its key, and what to wait for before it can be asked."""

    upstream: Upstream
    key: str | None
    ready: Callable[[], Awaitable[None]] | None = None


class WholeAnswer(msgspec.Struct):
    """An answer in one piece, with the headers that explain it."""

    whole: Whole
    headers: tuple[tuple[str, str], ...]


class Relay:
    """The use case. `answer` gives a WholeAnswer or a Running stream, or raises the Failure that is the answer."""

    def __init__(
        self,
        live: Live,
        decide: Decide,
        backends: Callable[[], Backends],
        cloud: Side | None,
        local: Side | None,
        recorder: Recorder,
        lean_override: Callable[[], str | None] = lambda: None,
        cloud_speaks: Collection[Dialect] = DIALECTS,
        slimming: int = 1,
        guard: Guard | None = None,
        kept_tools: Collection[str] = (),
        window: Callable[[str | None], int | None] = lambda _model: None,
    ) -> None:
        self._live = live
        self._decide = decide
        self._backends = backends
        self._sides = {"cloud": cloud, "local": local}
        self._recorder = recorder
        self._lean_override = lean_override
        self._cloud_speaks = frozenset(cloud_speaks)
        self._slimming = slimming
        self._guard = guard
        self._kept_tools = kept_tools
        self._window = window
        self._token = secrets.token_hex(8)  # of this run of the daemon; with a number, of one answer
        self._answers = itertools.count(1)

    async def answer(self, ask: Ask, running: InFlight) -> WholeAnswer | Running:
        """Answer `ask`. Whoever gets a Running must `pump` and `close` it."""
        try:
            said = ask.headers.get("x-brainrouter-route")
            intent = overruled(intent_of(ask.model, self._live.local_names), said)
            held = await self._guard(ask, ask.raw, running.cwd, running.folder) if self._guard else None
            verdict = await self._decide(ask, intent, held)
            self._recorder.decided(running, verdict)
            may_leave = intent.mode == "auto" and not verdict.private
            attempts = plan(
                verdict.route, verdict.model or intent.local_model, self._backends(), may_leave=may_leave
            )
            failure: Failure | None = None
            attempt = attempts[0] if attempts else None
            overflow: Failure | None = None
            while attempt is not None:
                try:
                    picky = attempt.side == "local" and attempts[-1].side == "cloud"
                    return await self._try(ask, intent, attempt, running, overflow, picky=picky)
                except Failure as found:
                    failure = worth_telling(failure, found, attempt)
                    self._recorder.attempt_failed(running, attempt, found)
                    following = next_after(attempts, attempt, found)
                    # Nobody else can take it: once more, with old tool results left out.
                    cut = (
                        following is None
                        and overflow is None
                        and attempt.side == "local"
                        and found.window is not None
                    )
                    overflow = found if cut else None
                    attempt = attempt if cut else following
            raise last_word(failure, verdict.reason if verdict.stage == "privacy" else None)
        except Failure as failure:
            self._recorder.failed(running, failure)
            raise
        except asyncio.CancelledError:
            self._recorder.client_gone(running)
            raise
        except Exception:
            self._recorder.failed(running, Failure(kinds.INTERNAL, "internal error"))
            raise

    async def _try(
        self,
        ask: Ask,
        intent: Intent,
        attempt: Attempt,
        running: InFlight,
        overflow: Failure | None,
        *,
        picky: bool,
    ) -> WholeAnswer | Running:
        """One attempt. A `picky` one to a local model fails when its answer is unfit, while another may follow."""
        side = self._admit(attempt)
        self._recorder.trying(running, attempt)
        settled = False
        try:
            if side.ready is not None:
                await side.ready()
            out = self._outgoing(ask, attempt, side, overflow, alone=not picky)
            if out.saving is not None:
                self._recorder.leaned(running, attempt.model, out.saving)
            back = self._back(out, attempt)
            peek = Fitness(out) if picky else None
            upstream = self._served(side, out, running)
            if not ask.stream:
                whole = await upstream.whole(out, back)
                if peek is not None:
                    peek.whole(whole)
                self._succeeded(attempt)
                settled = True
                self._recorder.whole(running, attempt, whole)
                return WholeAnswer(whole, explain(running, attempt))
            stream = await upstream.stream(out, back, peek)
            settled = True
            self._recorder.begun(running, attempt, stream)
            return Running(self, ask, attempt, stream, running)
        except Failure as failure:
            if attempt.side == "local" or ask.dialect not in self._cloud_speaks:
                failure.body = None  # its words are in another dialect than the caller's
            self._failed(attempt, failure)
            settled = True
            raise
        finally:
            if not settled:
                self._abandoned(attempt)

    def _admit(self, attempt: Attempt) -> Side:
        side = self._sides[attempt.side]
        if side is None:
            raise Failure(kinds.BUSY, f"no {attempt.side} side is configured")
        state = self._live.breakers.get(attempt.breaker)
        if state is breakers.HEALTHY:
            return side
        state = state or breakers.HEALTHY
        now = asyncio.get_running_loop().time()
        if not breakers.admits(state, now):
            wait = max(1.0, (state.open_until or now) - now)
            raise Failure(
                kinds.BREAKER_OPEN, f"{attempt.side} is resting after: {state.cause}", retry_after_s=wait
            )
        self._live.breakers[attempt.breaker] = breakers.sent(state, now)
        return side

    def _served(self, side: Side, out: Outgoing, running: InFlight) -> Upstream | ToolRounds:
        """What answers: where tools wait, we ourselves answer the model's searches for them."""
        if out.deferral is None:
            return side.upstream
        return ToolRounds(side.upstream, out.deferral, lambda: self._recorder.searched(running))

    def _outgoing(
        self, ask: Ask, attempt: Attempt, side: Side, overflow: Failure | None, *, alone: bool
    ) -> Outgoing:
        if attempt.side == "local":
            vision = self._live.sees(attempt.model)
            return to_local(
                ask,
                attempt,
                side.key,
                self._lean_override(),
                vision=vision,
                slimming=self._slimming,
                keep=self._kept_tools,
                window=self._window(attempt.model) if alone else None,
                overflow=overflow,
            )
        return to_cloud(ask, attempt, side.key, self._cloud_speaks)

    def _back(self, out: Outgoing, attempt: Attempt) -> Inward | None:
        """What turns the answer into the caller's dialect, where the upstream is spoken to in another."""
        if out.translated is None:
            return None
        stamp = Stamp(f"{self._token}{next(self._answers):08x}", int(time.time()), attempt.model)
        return inward(out.translated, stamp)

    def _succeeded(self, attempt: Attempt) -> None:
        state = self._live.breaker(attempt.breaker)
        if state is not breakers.HEALTHY:
            self._live.breakers[attempt.breaker] = breakers.succeeded(state)

    def _abandoned(self, attempt: Attempt) -> None:
        self._live.breakers[attempt.breaker] = breakers.abandoned(self._live.breaker(attempt.breaker))

    def _failed(self, attempt: Attempt, failure: Failure) -> None:
        state = self._live.breaker(attempt.breaker)
        if failure.kind is kinds.BREAKER_OPEN:
            return
        rests = failure.kind is kinds.RATE_LIMITED and failure.retry_after_s is not None
        if not failure.kind.trips and not rests:
            self._live.breakers[attempt.breaker] = breakers.abandoned(state)
            return
        now = asyncio.get_running_loop().time()
        self._live.breakers[attempt.breaker] = breakers.failed(
            state, now, failure.message, failure.retry_after_s
        )

    def ended(self, attempt: Attempt, failure: Failure | None) -> None:
        """A stream came to its end: that is what counts for the breaker, not its first byte."""
        if failure is None:
            self._succeeded(attempt)
        else:
            self._failed(attempt, failure)

    def left(self, attempt: Attempt, running: InFlight) -> None:
        """The client left in the middle of a stream: nothing is learnt of the upstream."""
        self._abandoned(attempt)
        self._recorder.client_gone(running)

    def streamed(self, running: InFlight, stream: LiveStream | RoundsStream, failure: Failure | None) -> None:
        self._recorder.streamed(running, stream, failure)


class Running:
    """A stream that has begun. From here on there is no fallback: bytes are on their way to the caller."""

    def __init__(
        self, relay: Relay, ask: Ask, attempt: Attempt, stream: LiveStream | RoundsStream, running: InFlight
    ) -> None:
        self._relay = relay
        self._ask = ask
        self._attempt = attempt
        self._stream = stream
        self._running = running
        self._over = False
        self.headers = explain(running, attempt)
        self.upstream_headers = stream.headers

    async def pump(self, sink: Sink) -> None:
        """Send the stream to `sink`. One that breaks ends with an error in the caller's dialect, never as if whole."""
        try:
            failure = await self._stream.pump(sink, self._running)
            if failure is not None:
                sink.write(self._stream.error_frame(self._ask.dialect, failure))
            self._over = True
            self._relay.ended(self._attempt, failure)
            self._relay.streamed(self._running, self._stream, failure)
        finally:
            self.close()

    def close(self) -> None:
        """Let the upstream go. Safe to call twice; before the end of the answer it means that the client left."""
        self._stream.close()
        if self._over:
            return
        self._over = True
        watch = self._stream.watch
        if watch.complete or watch.finish:  # it has heard how the answer ends, which is all that there is
            self._relay.ended(self._attempt, None)
            self._relay.streamed(self._running, self._stream, None)
        else:
            self._relay.left(self._attempt, self._running)


def explain(running: InFlight, attempt: Attempt) -> tuple[tuple[str, str], ...]:
    """The response headers that say where a request went, and why."""
    decided = "" if running.verdict is None else running.verdict.reason
    reason = f"fallback: {attempt.fallback}" if attempt.fallback else decided
    return _explained(attempt.side, reason, running.model or attempt.model)


@lru_cache(maxsize=256)
def _explained(side: Route, reason: str, model: str) -> tuple[tuple[str, str], ...]:
    return (
        ("x-brainrouter-decision", side),
        ("x-brainrouter-reason", _header_text(reason)),
        ("x-brainrouter-model", _header_text(model)),
    )


def _header_text(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text[:200]
    return "".join(char if " " <= char <= "~" else "?" for char in text)[:200]
