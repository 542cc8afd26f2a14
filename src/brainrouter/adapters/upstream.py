"""One upstream over HTTP: an answer that is known to be real, or a Failure. Nothing reaches the caller before that."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec

from brainrouter.adapters.answer_body import body_decoder, object_of, read_all
from brainrouter.adapters.content_decoding import BadEncoding, unchanged
from brainrouter.adapters.stream_piece import Count, Ended, Piece
from brainrouter.brain.tool_mend import ToolMend
from brainrouter.http1.client import Client, Origin, Response
from brainrouter.http1.errors import (
    ConnectFailed,
    HeadTimeout,
    IdleTimeout,
    OverTime,
    UpstreamError,
)
from brainrouter.http1.message import Sink
from brainrouter.policy import failure as kinds
from brainrouter.policy.failure import Failure
from brainrouter.policy.outgoing import Outgoing
from brainrouter.policy.stream_failure import failure_in_stream, failure_in_whole
from brainrouter.policy.upstream_error import failure_of
from brainrouter.wire.ask import Dialect, Route
from brainrouter.wire.chat_chunk import BadAnswer
from brainrouter.wire.disguise import disguised, says_stub
from brainrouter.wire.error_body import error_frame, failed_response
from brainrouter.wire.inward import Inward, Telling
from brainrouter.wire.json_body import BadBody
from brainrouter.wire.watch import StreamWatch
from brainrouter.wire.whole import Facts, facts_of, plain_facts

HELD_MAX_BYTES = 32 * 1024
ANSWER_MAX_BYTES = 64 * 1024 * 1024
ERROR_MAX_BYTES = 256 * 1024
ERROR_BODY_S = 10.0
# How the text of a whole answer begins that may be a tool call.
_CALL_SIGN = re.compile(rb'"content":\s*"(?:\\[nrt]|\s)*[<\[{`]')
_DOCUMENT = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to the first real event of a stream, between two events, and for an answer in all."""

    first_byte_s: float
    stall_s: float
    total_s: float


class Whole(msgspec.Struct, dict=True):
    """A whole answer, checked. `headers` are the upstream's, lower-case.

    `said` is what the upstream sent, `body` the same in the caller's dialect; `mended` what had to be mended in it.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    facts: Facts
    said: bytes
    mended: str = ""

    @cached_property
    def document(self) -> dict[str, Any]:
        """The upstream's answer, decoded."""
        return _DOCUMENT.decode(self.said)


class Upstream:
    """One side's upstream. `speaks` is what it is sent: the caller's dialect, or chat for the local side."""

    def __init__(self, client: Client, base_url: str, side: Route, timeouts: Timeouts) -> None:
        self._client = client
        self._origin, self._base_path = Origin.parse(base_url)
        self.side: Route = side
        self.timeouts = timeouts

    async def whole(self, out: Outgoing, inward: Inward | None = None) -> Whole:
        """Ask for a whole answer. Raises Failure; only the total budget limits how long it may take.

        `inward` turns the answer into the caller's dialect, where the upstream was spoken to in another.
        """
        total_s = self.timeouts.total_s
        try:
            response = await self._send(out, total_s)
            try:
                headers = response.headers
                if response.status != 200:
                    raise await self._refusal(response)
                body = await read_all(response, headers, ANSWER_MAX_BYTES, total_s)
            finally:
                response.close()
        except (HeadTimeout, OverTime):
            raise Failure(kinds.TOTAL_TIMEOUT, f"no whole answer within {total_s:g} s") from None
        except UpstreamError as error:
            raise _transport_failure(error) from error
        answer = self._checked(response.status, headers, body, out.dialect)
        if self.side == "local" and _CALL_SIGN.search(body):
            answer = self._mended(answer, out)
        return answer if inward is None else self._translated(answer, inward)

    async def stream(
        self, out: Outgoing, inward: Telling | None = None, peek: Peek | None = None
    ) -> LiveStream:
        """Open a stream and wait for its first real event. Raises Failure; the caller must close what it gets.

        `peek` is shown what is held so far: it raises the Failure that it is, or says whether more must be seen.
        """
        first_byte_s = self.timeouts.first_byte_s
        try:
            response = await self._send(out, first_byte_s)
            try:
                headers = response.headers
                if response.status != 200:
                    raise await self._refusal(response)
                live = LiveStream(response, headers, out.dialect, self.side, self.timeouts, inward)
                await live.begin()
                if self.side == "local":
                    await live.mend(_mend(out))
                if peek is not None:
                    await live.hold(peek)
            except BaseException:
                response.close()
                raise
        except (HeadTimeout, OverTime):
            raise Failure(kinds.FIRST_BYTE_TIMEOUT, f"no answer begun within {first_byte_s:g} s") from None
        except UpstreamError as error:
            raise _transport_failure(error) from error
        return live

    async def get(self, path: str, key: str | None, timeout_s: float) -> tuple[int, bytes]:
        """A small GET beside the hot path (health, models). Raises Failure. `~/` is the origin's own root."""
        return await self._small("GET", path, key, b"", timeout_s)

    async def post(self, path: str, key: str | None, body: bytes, timeout_s: float) -> tuple[int, bytes]:
        """A small POST of JSON beside the hot path (token counts). Raises Failure."""
        return await self._small("POST", path, key, body, timeout_s)

    async def _small(
        self, method: str, path: str, key: str | None, body: bytes, timeout_s: float
    ) -> tuple[int, bytes]:
        headers = [(b"accept", b"application/json"), (b"accept-encoding", b"identity")]
        if body:
            headers.append((b"content-type", b"application/json"))
        if key:
            headers += [(b"authorization", b"Bearer " + key.encode()), (b"x-api-key", key.encode())]
        try:
            async with asyncio.timeout(timeout_s):
                target = path[2:] if path.startswith("~/") else self._base_path + path
                response = await self._client.request(
                    self._origin, method, "/" + target.lstrip("/"), headers, body, first_byte_s=timeout_s
                )
                try:
                    return response.status, await response.read(ANSWER_MAX_BYTES, timeout_s)
                finally:
                    response.close()
        except UpstreamError as error:
            raise _transport_failure(error) from error
        except TimeoutError:
            raise Failure(kinds.FIRST_BYTE_TIMEOUT, f"no answer within {timeout_s:g} s") from None

    def _send(self, out: Outgoing, span: float) -> Awaitable[Response]:
        """Ask; the whole exchange may take so long."""
        return self._client.request(
            self._origin, "POST", self._base_path + out.path, out.headers, out.body,
            first_byte_s=span, total_s=span, shared=out.shared,
        )  # fmt: skip

    async def _refusal(self, response: Response) -> Failure:
        """What an answer of any status but 200 means."""
        response.allow_for(ERROR_BODY_S)
        try:
            body = await read_all(response, response.headers, ERROR_MAX_BYTES, ERROR_BODY_S)
        except (Failure, UpstreamError):
            body = b""
        return failure_of(self.side, response.status, response.headers, body, datetime.now(UTC))

    def _checked(self, status: int, headers: dict[str, str], body: bytes, dialect: Dialect) -> Whole:
        facts = None if says_stub(headers) else plain_facts(dialect, body)
        if facts is None:
            facts = self._examined(status, headers, body, dialect)
        return Whole(status, headers, body, facts, body)

    def _examined(self, status: int, headers: dict[str, str], body: bytes, dialect: Dialect) -> Facts:
        """The facts of an answer that needs a closer look. Raises the Failure that it is, if it is one."""
        try:
            document = object_of(body)
        except BadBody as error:
            what = f"the {self.side} side sent an answer that is no JSON object: {error.message}"
            raise Failure(kinds.MALFORMED, what) from error
        facts = facts_of(dialect, document)
        found = failure_in_whole(disguised(status, headers, document, dialect), facts)
        if found:
            raise found
        return facts

    def _mended(self, answer: Whole, out: Outgoing) -> Whole:
        """The answer with the tool calls that its model wrote as text made calls."""
        mend = _mend(out)
        document = mend.whole(answer.document)
        if document is None:
            return answer
        said = msgspec.json.encode(document)
        return Whole(answer.status, answer.headers, said, facts_of("chat", document), said, mend.note)

    def _translated(self, answer: Whole, inward: Inward) -> Whole:
        try:
            answer.body = inward.whole(answer.document)
        except BadAnswer as bad:
            raise Failure(kinds.MALFORMED, f"the {self.side} side sent an answer in pieces: {bad}") from bad
        return answer


Peek = Callable[[bytes], bool]


class LiveStream:
    """A stream that has begun: what was held back until that was known, and the rest as it comes."""

    def __init__(
        self,
        response: Response,
        headers: dict[str, str],
        dialect: Dialect,
        side: Route,
        timeouts: Timeouts,
        inward: Telling | None = None,
    ) -> None:
        self.headers = headers
        self.watch = StreamWatch(dialect, local=side == "local")
        self._response = response
        self._dialect: Dialect = dialect
        self._side: Route = side
        self._timeouts = timeouts
        self._decode = body_decoder(headers)
        self._held: list[bytes] = []
        self._inward = inward
        self.mended = ""

    async def begin(self) -> None:
        """Read until the first real event. Raises Failure when the stream turns out to be none."""
        if "text/event-stream" not in self.headers.get("content-type", "text/event-stream"):
            await self._not_a_stream()
        watch = self.watch
        stub = disguised(200, self.headers, None, self._dialect)
        while not watch.begun and not watch.failure and not stub:
            data = await self._chunk()
            if not data:
                self._held.append(watch.end())
                break
            self._held.append(watch.feed(self._decoded(data)))
        failure = failure_in_stream(stub, watch)
        if failure or not watch.begun:
            raise failure or Failure(
                kinds.EMPTY_ANSWER, f"the {self._side} side ended the stream without an answer"
            )

    async def hold(self, peek: Peek) -> None:
        """Keep holding while `peek` has to see more, up to a bound. Raises what it raises."""
        while peek(b"".join(self._held)) and sum(map(len, self._held)) < HELD_MAX_BYTES:
            if not await self._more():
                return

    async def mend(self, mend: ToolMend) -> None:
        """Hold a tool call that is being written as text, and put a real one in its place, where that can be done."""
        if mend.holds(b"".join(self._held)):
            self._response.allow_for(self._timeouts.total_s)
            while await self._more() and mend.holds(self._held[-1]):
                pass
        mended = mend.stream(b"".join(self._held))
        if mended is not None:
            self._held, self.mended = [mended], mend.note

    async def _more(self) -> bool:
        """Hold what comes next; False at the end of the stream. Raises the failure that it turns out to be."""
        data = await self._chunk()
        self._held.append(self.watch.feed(self._decoded(data)) if data else self.watch.end())
        failure = failure_in_stream(None, self.watch)
        if failure:
            raise failure
        return bool(data)

    async def pump(self, sink: Sink, count: Count) -> Failure | None:
        """Send everything to `sink`, and `count` the pieces. Returns what broke the stream, or None."""
        watch, stall_s = self.watch, self._timeouts.stall_s
        relay = Piece(
            watch,
            None if self._decode is unchanged else self._decode,
            sink,
            count,
            stall_s,
            self._inward,
            self._response.allow_for,
        )
        self._response.allow_for(self._timeouts.total_s)
        try:
            relay.send(b"".join(self._held))
            self._held.clear()
            if watch.complete:
                relay.linger()
            await self._response.pipe(relay.take, sink, stall_s)
        except OverTime:
            if not watch.complete:
                what = f"the answer took longer than {self._timeouts.total_s:g} s"
                return Failure(kinds.TOTAL_TIMEOUT, what)
        except Ended:
            return failure_in_stream(None, watch)
        except BadAnswer as bad:
            return Failure(kinds.MALFORMED, f"the {self._side} side sent an answer in pieces: {bad}")
        except (UpstreamError, BadEncoding) as error:
            if not watch.complete:
                return self._broken(error)
        return self._end(relay)

    def _end(self, relay: Piece) -> Failure | None:
        """The upstream said all it will: pass on what is left, and judge the whole."""
        failure: Failure | None = None
        try:
            relay.send(self.watch.end())
            failure = failure_in_stream(None, self.watch)
            if failure is None:
                relay.end()
        except BadAnswer as bad:
            failure = Failure(kinds.MALFORMED, f"the {self._side} side sent an answer in pieces: {bad}")
        return failure

    def error_frame(self, dialect: Dialect, failure: Failure) -> bytes:
        """What ends the stream for a caller of `dialect` when it broke."""
        status, message, kind = failure.status, failure.message, failure.kind.name
        if self._inward is not None:
            return self._inward.broken(status=status, message=message, kind=kind)
        named, number = self.watch.response
        if named is not None:
            response: dict[str, Any] = {"id": named, "object": "response", "output": []}
            return failed_response(response, number, status=status, message=message, kind=kind)
        return error_frame(dialect, status=status, message=message, kind=kind)

    def close(self) -> None:
        """Let the upstream go: at once when its answer was not read whole."""
        self._response.close()

    def _broken(self, error: UpstreamError | BadEncoding) -> Failure:
        if isinstance(error, IdleTimeout):
            stall_s = self._timeouts.stall_s
            return Failure(kinds.STALLED, f"the {self._side} side sent nothing for {stall_s:g} s")
        return Failure(kinds.TRUNCATED, f"the {self._side} side broke the stream off: {error}")

    def _decoded(self, data: bytes) -> bytes:
        try:
            return self._decode(data)
        except BadEncoding as error:
            raise Failure(kinds.MALFORMED, str(error)) from error

    async def _chunk(self) -> bytes:
        return await self._response.chunk(self._timeouts.first_byte_s)

    async def _not_a_stream(self) -> None:
        body = await read_all(self._response, self.headers, ERROR_MAX_BYTES, self._timeouts.first_byte_s)
        try:
            document = object_of(body)
        except BadBody:
            document = None
        found = failure_in_whole(disguised(200, self.headers, document, self._dialect), None)
        kind = self.headers.get("content-type")
        raise found or Failure(kinds.MALFORMED, f"the {self._side} side answered a stream with {kind}")


def _mend(out: Outgoing) -> ToolMend:
    return ToolMend(lambda: _DOCUMENT.decode(out.document).get("tools"), lambda: secrets.token_hex(12))


def _transport_failure(error: UpstreamError) -> Failure:
    if isinstance(error, ConnectFailed):
        return Failure(kinds.UNREACHABLE, str(error))
    if isinstance(error, HeadTimeout):
        return Failure(kinds.FIRST_BYTE_TIMEOUT, str(error))
    if isinstance(error, IdleTimeout):
        return Failure(kinds.STALLED, str(error))
    return Failure(kinds.TRUNCATED, str(error))
