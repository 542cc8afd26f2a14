"""The routes that generate: bytes to an Ask, the relay's answer to a reply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from brainrouter.edge.http.routes import Answer, problem
from brainrouter.flows.count import TokenCount
from brainrouter.flows.record import Recorder
from brainrouter.flows.relay import Relay, Running
from brainrouter.http1.framing import header_lines
from brainrouter.http1.message import Reply, Request, StreamReply
from brainrouter.in_flight import InFlight
from brainrouter.live import Live
from brainrouter.policy import failure as kinds
from brainrouter.policy.error_reply import error_reply, overflow_frame
from brainrouter.policy.failure import Failure
from brainrouter.remembered import Memo, remembered
from brainrouter.wire.ask import Ask
from brainrouter.wire.chat import parse_chat
from brainrouter.wire.json_body import BadBody
from brainrouter.wire.messages import parse_messages
from brainrouter.wire.responses import parse_responses

Parse = Callable[[bytes, dict[str, str]], Ask]
NoteCaller = Callable[[Request, InFlight], None]

# What an upstream's answer may tell the caller: identity and quota, never cookies or framing.
_PASSED_PREFIXES = ("x-manifest-", "anthropic-", "openai-", "x-ratelimit-")
_PASSED = frozenset({"request-id", "x-request-id", "retry-after"})
_FRESH = header_lines((("cache-control", "no-cache"),))


def _may_pass(name: str) -> bool:
    return name in _PASSED or name.startswith(_PASSED_PREFIXES)


# Whether a header of that name may be seen by the caller. Upstreams say few different ones.
_passes = Memo(_may_pass, 256)


class Generate:
    """Handlers of the routes that generate."""

    def __init__(
        self, live: Live, relay: Relay, recorder: Recorder, note_caller: NoteCaller, count: TokenCount
    ) -> None:
        self._live = live
        self._relay = relay
        self._recorder = recorder
        self._note_caller = note_caller
        self._count = count

    def chat(self, request: Request) -> Awaitable[Answer]:
        """POST /v1/chat/completions."""
        return self._generate(request, parse_chat)

    def messages(self, request: Request) -> Awaitable[Answer]:
        """POST /v1/messages."""
        return self._generate(request, parse_messages)

    def responses(self, request: Request) -> Awaitable[Answer]:
        """POST /v1/responses."""
        return self._generate(request, parse_responses)

    async def count_tokens(self, request: Request) -> Answer:
        """POST /v1/messages/count_tokens. Leaves no event: clients send dozens at a time, and nothing is routed."""
        try:
            ask = parse_messages(request.body, request.headers.by_name())
        except BadBody as bad:
            self._recorder.refused(request.path, bad.status, bad.message)
            return problem(request.path, bad.status, bad.message, param=bad.param)
        return Reply(200, msgspec.json.encode({"input_tokens": await self._count(ask)}))

    async def _generate(self, request: Request, parse: Parse) -> Answer:
        if self._live.draining:
            return problem(
                request.path, 503, "brainrouter is shutting down; try again in a moment", close=True
            )
        try:
            ask = parse(request.body, request.headers.by_name())
            ask.query = request.query
        except BadBody as bad:
            self._recorder.refused(request.path, bad.status, bad.message)
            return problem(request.path, bad.status, bad.message, param=bad.param)
        running = self._recorder.arrived(ask)
        self._note_caller(request, running)
        try:
            answer = await self._relay.answer(ask, running)
        except Failure as failure:
            status, headers, body = error_reply(ask.dialect, failure)
            told = (*headers, *decision_headers(running))
            if ask.dialect == "responses" and ask.stream and failure.kind is kinds.CONTEXT_TOO_LONG:
                return Reply(200, overflow_frame(failure.window), "text/event-stream", told)
            return Reply(status, body, headers=told)
        if isinstance(answer, Running):
            lines = _passed_lines(answer.upstream_headers) + _FRESH + _told_lines(answer.headers)
            return StreamReply(200, answer.pump, lines=lines)
        lines = _passed_lines(answer.whole.headers) + _told_lines(answer.headers)
        return Reply(200, answer.whole.body, lines=lines)


def _passed(headers: dict[str, str]) -> bytes:
    """The upstream's header lines that the caller may see."""
    return header_lines([line for line in headers.items() if _passes[line[0]]])


# What a provider says of itself, and what explains a decision, is said again and again: mostly by the same object.
_passed_lines = remembered(_passed, 64)
_told_lines = remembered(header_lines, 256)


def decision_headers(running: InFlight) -> tuple[tuple[str, str], ...]:
    verdict = running.verdict
    return () if verdict is None else (("x-brainrouter-decision", verdict.route),)
