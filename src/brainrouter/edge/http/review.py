"""The review routes: bodies checked here, everything else in the review desk."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal
from urllib.parse import parse_qs

import msgspec

from brainrouter.adapters.git_repo import GitTrouble
from brainrouter.adapters.review_state import ReviewState
from brainrouter.adapters.review_store import CannotKeep
from brainrouter.adapters.work_folder import NotAllowed
from brainrouter.edge.http.routes import Answer, problem
from brainrouter.edge.http.views import as_json
from brainrouter.flows.review import Call, ReviewDesk, Stopping
from brainrouter.flows.review_settings import BadSetting
from brainrouter.http1.message import Peer, Request, Sink, StreamReply
from brainrouter.policy.review_session import WrongState
from brainrouter.wire.identity import harness_of
from brainrouter.wire.json_body import BadBody, decode_field, parse_object
from brainrouter.wire.secret_shapes import masked
from brainrouter.wire.sse import frame

TASK_MAX_CHARS = 200
TEXT_MAX_CHARS = 100_000
HISTORY_MAX = 200
HEARTBEAT_S = 5.0
STATUSES = ("pending", "approved", "needs_revision", "escalated")
SESSION_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

_TEXT = msgspec.json.Decoder(str)
_MAYBE_TEXT = msgspec.json.Decoder(str | None)
_TEXTS: msgspec.json.Decoder[list[str] | None] = msgspec.json.Decoder(list[str] | None)
_ENCODE = msgspec.json.encode


class ReviewRoutes:
    """Handlers of /review/api/* and /api/review-config. `cwd_of` finds the folder of a caller on the Unix socket."""

    def __init__(self, desk: ReviewDesk, cwd_of: Callable[[Peer], Awaitable[str | None]]) -> None:
        self._desk = desk
        self._cwd_of = cwd_of

    async def sessions(self, request: Request) -> Answer:
        """GET /review/api/sessions[?limit=N&status=S]."""
        query = parse_qs(request.query)
        limit, status = query.get("limit", ["100"])[0], query.get("status", [None])[0]
        if not re.fullmatch(r"[1-9][0-9]{0,2}", limit) or int(limit) > 500:
            return problem(request.path, 400, "limit must be a whole number from 1 to 500", param="limit")
        if status is not None and status not in STATUSES:
            return problem(request.path, 400, f"status must be one of {', '.join(STATUSES)}", param="status")

        async def read() -> Any:
            rows, total = await self._desk.rows(int(limit), status)
            return {"sessions": rows, "total": total}

        return await self._answer(request, read)

    async def session(self, request: Request) -> Answer:
        """GET /review/api/sessions/:id."""
        return await self._answer(request, lambda: self._desk.get(_id(request.path.rsplit("/", 1)[1])))

    async def request(self, request: Request) -> Answer:
        """POST /review/api/request; with `accept: text/event-stream` progress comes before the answer."""
        if "text/event-stream" in (request.headers.get("accept") or ""):
            return StreamReply(
                200, lambda sink: self._stream(request, sink), headers=(("cache-control", "no-store"),)
            )

        async def run() -> Any:
            return await self._desk.request(await self._call(request), lambda _step, _message: None)

        return await self._answer(request, run)

    async def resolve(self, request: Request) -> Answer:
        """POST /review/api/resolve."""

        async def run() -> Any:
            body = parse_object(request.body)
            return await self._desk.resolve(
                _id(_text(body, "sessionId", 64)), masked(_text(body, "feedback", TEXT_MAX_CHARS))
            )

        return await self._answer(request, run)

    async def resolve_one(self, request: Request) -> Answer:
        """POST /review/session/:id/resolve."""

        async def run() -> Any:
            feedback = masked(_text(parse_object(request.body), "feedback", TEXT_MAX_CHARS))
            return await self._desk.resolve(_id(request.path.split("/")[3]), feedback)

        return await self._answer(request, run)

    async def lgtm(self, request: Request) -> Answer:
        """POST /review/api/lgtm."""

        async def run() -> Any:
            return await self._desk.resolve(_id(_text(parse_object(request.body), "sessionId", 64)), "lgtm")

        return await self._answer(request, run)

    async def proceed(self, request: Request) -> Answer:
        """POST /review/api/continue."""

        async def run() -> Any:
            body = parse_object(request.body)
            feedback = _maybe(body, "feedback")
            return await self._desk.proceed(
                _id(_text(body, "sessionId", 64)), None if feedback is None else masked(feedback)
            )

        return await self._answer(request, run)

    async def config(self, request: Request) -> Answer:
        """GET /api/review-config."""

        async def read() -> Any:
            return self._desk.control.now()

        return await self._answer(request, read)

    async def set_config(self, request: Request) -> Answer:
        """POST /api/review-config."""

        async def change() -> Any:
            body = parse_object(request.body)
            unknown = sorted(body.keys() - _SETTINGS.keys())
            if unknown:
                raise BadBody(f"{unknown[0]}: there is no such setting", unknown[0])
            fields = {
                name: decode_field(body, name, decoder) for name, decoder in _SETTINGS.items() if name in body
            }
            return self._desk.control.change(ReviewState(**fields))

        return await self._answer(request, change)

    async def _answer(self, request: Request, run: Callable[[], Awaitable[Any]]) -> Answer:
        try:
            found = await run()
        except Exception as error:
            status, message, param = _explain(error)
            return problem(request.path, status, message, param=param)
        if found is None:
            return problem(request.path, 404, "there is no such review session", param="sessionId")
        return as_json(found)

    async def _stream(self, request: Request, sink: Sink) -> None:
        """Progress at each step and every few seconds, then the result or the problem."""
        started = time.monotonic()
        steps: asyncio.Queue[tuple[str, str] | None] = asyncio.Queue()
        step = ("begun", "the review was taken on")
        async with asyncio.TaskGroup() as group:
            ending = group.create_task(self._ending(request, steps))
            while step is not None:
                elapsed = round(time.monotonic() - started, 1)
                said = {"step": step[0], "message": step[1], "elapsedS": elapsed}
                sink.write(frame(_ENCODE(said), "progress"))
                try:
                    step = await asyncio.wait_for(steps.get(), HEARTBEAT_S)
                except TimeoutError:
                    continue
            sink.write(await ending)
        await sink.drain()

    async def _ending(self, request: Request, steps: asyncio.Queue[tuple[str, str] | None]) -> bytes:
        """The last event of a stream; its steps go into `steps`, which ends with None."""
        try:
            call = await self._call(request)
            answer = await self._desk.request(call, lambda step, message: steps.put_nowait((step, message)))
        except Exception as error:
            status, message, param = _explain(error)
            body = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
            return frame(_ENCODE({"status": status, "error": body}), "problem")
        else:
            return frame(_ENCODE(answer), "result")
        finally:
            steps.put_nowait(None)

    async def _call(self, request: Request) -> Call:
        body = parse_object(request.body)
        task_id = _text(body, "taskId", TASK_MAX_CHARS)
        if not task_id.isprintable():
            raise BadBody("taskId: control characters are not allowed", "taskId")
        summary, details = _text(body, "summary", TEXT_MAX_CHARS), _maybe(body, "details")
        history = _history(body)
        unix = request.peer.kind == "unix"
        own = await self._cwd_of(request.peer) if unix else None
        cwd = _maybe(body, "cwd") or own
        if cwd is None:
            where = "your own folder could not be found" if unix else "over TCP nothing says where you are"
            raise BadBody(f"cwd: give the absolute path of the project; {where}", "cwd")
        # Masked before anything is kept, shown or sent; so much text may take a while.
        summary, details, *history = await asyncio.to_thread(_masked_all, summary, details or "", *history)
        return Call(
            task_id, summary, cwd, details or None, tuple(history), own, harness_of(request.headers.by_name())
        )


_SETTINGS: dict[str, msgspec.json.Decoder[Any]] = {
    "forced_mode": msgspec.json.Decoder(Literal["auto", "cloud", "local"]),
    "forced_model": msgspec.json.Decoder(str | None),
    "max_iterations": msgspec.json.Decoder(int),
}


def _explain(error: Exception) -> tuple[int, str, str | None]:
    """Status, words and field for everything that may go wrong here; what is not expected is raised on."""
    match error:
        case BadBody():
            return error.status, error.message, error.param
        case BadSetting():
            return 400, error.message, error.field
        case NotAllowed():
            return 403, f"cwd: {error}", "cwd"
        case GitTrouble():
            return 400, f"cwd: {error}", "cwd"
        case WrongState():
            return 409, str(error), None
        case CannotKeep() | OSError():
            return 503, str(error), None
        case Stopping():
            return (
                503,
                "brainrouter is shutting down; the round is kept, ask again with the same taskId",
                None,
            )
        case _:
            raise error


def _id(text: str) -> str:
    if not SESSION_ID.fullmatch(text):
        raise BadBody("sessionId: expected a UUID as the session list shows it", "sessionId", 404)
    return text


def _text(body: dict[str, msgspec.Raw], name: str, limit: int) -> str:
    if name not in body:
        raise BadBody(f"{name}: this field is required", name)
    text = decode_field(body, name, _TEXT)
    if not text.strip():
        raise BadBody(f"{name}: this field is empty", name)
    if len(text) > limit:
        raise BadBody(f"{name}: at most {limit} characters", name)
    return text


def _maybe(body: dict[str, msgspec.Raw], name: str) -> str | None:
    text = decode_field(body, name, _MAYBE_TEXT) if name in body else None
    if text is not None and len(text) > TEXT_MAX_CHARS:
        raise BadBody(f"{name}: at most {TEXT_MAX_CHARS} characters", name)
    return text or None


def _masked_all(*texts: str) -> list[str]:
    return [masked(text) for text in texts]


def _history(body: dict[str, msgspec.Raw]) -> tuple[str, ...]:
    texts = decode_field(body, "conversationHistory", _TEXTS) if "conversationHistory" in body else None
    return tuple(text[:TEXT_MAX_CHARS] for text in (texts or [])[-HISTORY_MAX:])
