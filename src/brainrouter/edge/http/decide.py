"""POST /api/decide: where a request would go, without sending it anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from msgspec import Raw

from brainrouter.brain.shape import Tool
from brainrouter.brain.tool_list import telling_tools
from brainrouter.edge.http.routes import Answer, problem
from brainrouter.edge.http.views import as_json
from brainrouter.flows.decide import Decider
from brainrouter.flows.project_guard import ProjectGuard
from brainrouter.http1.message import Peer, Request
from brainrouter.live import Live
from brainrouter.policy.model_name import Intent, intent_of, overruled
from brainrouter.wire.ask import Ask
from brainrouter.wire.chat import parse_chat
from brainrouter.wire.json_body import BadBody, kind_of, parse_object
from brainrouter.wire.messages import parse_messages
from brainrouter.wire.prompt_text import peeled
from brainrouter.wire.responses import parse_responses

FolderOf = Callable[[Peer], asyncio.Future[str | None]]


class DecideRoute:
    """Takes any body the proxy serves, or `{"text": ..., "tools"?: [...]}`."""

    def __init__(self, live: Live, decider: Decider, guard: ProjectGuard, folder: FolderOf) -> None:
        self._live = live
        self._decider = decider
        self._guard = guard
        self._folder = folder

    async def __call__(self, request: Request) -> Answer:
        headers = request.headers.by_name()
        try:
            ask, text, tools = _read(request, headers)
        except BadBody as bad:
            return problem(request.path, bad.status, bad.message, param=bad.param)
        intent = intent_of(ask.model, self._live.local_names) if ask else Intent("auto")
        held = await self._guard.holds(ask, request.body, None, self._folder(request.peer))
        verdict = self._decider.dry_run(
            ask, text, tools, overruled(intent, headers.get("x-brainrouter-route")), held
        )
        return as_json(
            {
                "decision": verdict.route,
                "reason": verdict.reason,
                "stage": verdict.stage,
                "turn_kind": verdict.kind,
                "ok_local": verdict.ok_local,
                "ok_cloud": verdict.ok_cloud,
                "gain": verdict.gain,
                "knob": verdict.knob,
                "unsure": verdict.unsure,
                "private": verdict.private,
                "ms": round(verdict.ms, 3),
            }
        )


def _parser(body: dict[str, Raw], headers: dict[str, str]) -> Callable[[bytes, dict[str, str]], Ask]:
    """The protocol of a body that came without the path that would say it."""
    if "input" in body:
        return parse_responses
    return parse_messages if "system" in body or "anthropic-version" in headers else parse_chat


def _read(request: Request, headers: dict[str, str]) -> tuple[Ask | None, str, tuple[Tool, ...]]:
    body = parse_object(request.body)
    if "text" not in body or "messages" in body or "input" in body:
        return _parser(body, headers)(request.body, headers), "", ()
    if kind_of(body["text"]) != "string":
        raise BadBody("text must be a string", "text")
    if "tools" in body and kind_of(body["tools"]) not in ("array", "null"):
        raise BadBody("tools must be an array", "tools")
    return None, peeled(msgspec.json.decode(body["text"], type=str)), telling_tools(body.get("tools"))
