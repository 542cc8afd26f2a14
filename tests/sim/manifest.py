"""A fake Manifest, faithful to what its source does (6.18): auth, disguised errors, headers, three protocols.

Beside the keys of play.py and answers.py a script may have: `error` (M001 ... M500), `provider_error` {status,
message, code, kind, form old|exhausted|new, exhausted}, `complexity` (score in place of the default tier), `tier`,
`reason`, `routed_model`, `fallback_from`, `use_tools`, `draining`, `needs_setup`, and `do` of the upstream sim.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import replace
from typing import Any

from tests.sim import play, upstream
from tests.sim.answers import CHAT, Answer, Event, Usage, answer_from, dump, protocol_of
from tests.sim.control import Desk, Script, parser, run
from tests.sim.manifest_errors import OWN, ProviderError, own_body, stub_text
from tests.sim.manifest_routing import MODELS, choose, headers
from tests.sim.plumbing import Exchange

KEY = "mnfst_sim_key_0001"
KEY_MIN_CHARS = 12
PROXY_PATHS = ("/v1/chat/completions", "/v1/messages", "/v1/responses")
PER_MINUTE, CONCURRENT = 200, 10
STARTED = time.monotonic()


class Manifest:
    """The settings of one instance and its answer to each request."""

    def __init__(self, keys: set[str], expired: set[str], limits: bool) -> None:
        self.keys = keys
        self.expired = expired
        self.limits = limits
        self.running = 0

    async def answer(self, exchange: Exchange, script: Script, desk: Desk) -> None:
        """Play one script."""
        request = exchange.request
        if request.chunked:
            await _plain_error(exchange, 411, "Content-Length is required")
        elif request.path in PROXY_PATHS and request.method == "POST":
            self.running += 1
            try:
                await self._proxy(exchange, script, desk)
            finally:
                self.running -= 1
        elif request.method == "GET" and request.path in (
            "/v1/models",
            "/api/v1/health",
            "/api/v1/setup/status",
        ):
            await self._about(exchange, desk.default)
        else:
            await _plain_error(exchange, 404, f"Cannot {request.method} {request.path}", "Not Found")

    async def _about(self, exchange: Exchange, script: Script) -> None:
        if exchange.request.path == "/api/v1/setup/status":
            setup = {"needsSetup": bool(script.get("needs_setup")), "isSelfHosted": True}
            await exchange.reply_json(200, setup)
        elif exchange.request.path == "/api/v1/health":
            draining = bool(script.get("draining"))
            health = {
                "status": "draining" if draining else "healthy",
                "uptime_seconds": int(time.monotonic() - STARTED),
            }
            await exchange.reply_json(503 if draining else 200, health)
        elif (code := self.refusal(exchange)) is not None:
            await exchange.reply_json(OWN[code].status, own_body(code))
        else:
            rows = [{"id": "auto", "object": "model", "created": 0, "owned_by": "manifest"}]
            rows += [{"id": m, "object": "model", "created": 0, "owned_by": m.split("/")[0]} for m in MODELS]
            await exchange.reply_json(200, {"object": "list", "data": rows})

    def refusal(self, exchange: Exchange) -> str | None:
        """The code of what is wrong with the key; only Authorization is read, Bearer is optional."""
        given = exchange.request.header("authorization")
        if not given:
            return "M001"
        key = (
            given[7:] if given.lower().startswith("bearer ") else "" if given.lower() == "bearer" else given
        ).strip()
        if not key:
            return "M002"
        if not key.startswith("mnfst_") or len(key) < KEY_MIN_CHARS:
            return "M003"
        if key in self.expired:
            return "M004"
        return None if key in self.keys else "M005"

    def _limited(self, desk: Desk) -> str | None:
        if not self.limits:
            return None
        now = time.monotonic()
        recent: list[float] = [at for at in desk.state.get("recent", []) if now - at < 60]
        desk.state["recent"] = [*recent, now]
        if len(recent) >= PER_MINUTE:
            return "M201"
        return "M203" if self.running > CONCURRENT else None

    async def _proxy(self, exchange: Exchange, script: Script, desk: Desk) -> None:
        if script.get("do", "answer") != "answer":
            await upstream.answer(exchange, script, desk)
            return
        parsed = exchange.request.json()
        body: dict[str, Any] = parsed if isinstance(parsed, dict) else {}
        code = self.refusal(exchange) or self._limited(desk)
        turns = body.get("input" if exchange.request.path == "/v1/responses" else "messages")
        code = code or script.get("error") or (None if turns else "M300")
        route = choose(body, exchange.request.header("x-session-key"), script, desk.state)
        if code is None and route is None:
            code = "M302"
        if code is not None:
            await _own_error(exchange, code, body)
            return
        assert route is not None
        protocol, streamed = protocol_of(exchange.request.path), body.get("stream") is True
        extra = headers(route, streamed, script)
        if "provider_error" in script:
            failure: dict[str, Any] = {"provider": route["provider"], "model": route["model"]}
            error = ProviderError(**(failure | script["provider_error"]))
            fields = [*extra, *error.headers(), *script.get("headers", {}).items()]
            await exchange.reply_json(error.status, error.body(protocol), fields)
            return
        said = answer_from({**script, "model": route["model"]}, body, f"{uuid.uuid4().hex[:12]}")
        if streamed:
            await play.stream(exchange, play.events_of(protocol, said, body), script, desk, protocol, extra)
            return
        document = json.dumps(play.whole(protocol, said), ensure_ascii=False).encode()
        await play.document(exchange, document, script, desk, extra)


async def _plain_error(exchange: Exchange, status: int, message: str, error: str = "") -> None:
    body: dict[str, Any] = {"message": message, "statusCode": status}
    await exchange.reply_json(status, {**body, "error": error} if error else body)


async def _own_error(exchange: Exchange, code: str, body: dict[str, Any]) -> None:
    """Chat clients (stream, or Accept of SSE) get a 200 that looks like an answer; others a real status."""
    error, streamed = OWN[code], body.get("stream") is True
    chat_client = streamed or "text/event-stream" in exchange.request.header("accept")
    if error.made_by == "limiter" or (error.made_by == "filter" and not chat_client):
        await exchange.reply_json(error.status, own_body(code))
        return
    said = Answer(stub_text(code), model="manifest", usage=Usage(0, 0), ident=f"manifest-{uuid.uuid4()}")
    extra: list[tuple[str, str]] = []
    protocol = CHAT
    if error.made_by == "router":
        protocol = protocol_of(exchange.request.path)
        route = {"tier": "simple", "model": "manifest", "provider": "manifest", "confidence": "1"}
        extra = headers({**route, "reason": error.reason}, streamed, {})
    if not streamed:
        document = play.whole(protocol, said)
        await exchange.reply_json(200, _bare(document) if protocol == CHAT else document, extra)
        return
    events = (
        _stub_chunk(said)
        if protocol == CHAT
        else play.events_of(protocol, replace(said, piece_chars=10_000), {})
    )
    data = b"".join(play.render(event, []) for event in events)
    await exchange.reply(
        200, data, [("content-type", "text/event-stream"), ("cache-control", "no-cache"), *extra]
    )


def _bare(document: dict[str, Any]) -> dict[str, Any]:
    """A stub has only the fields that Manifest writes by hand."""
    usage = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), 0)
    message = {"role": "assistant", "content": document["choices"][0]["message"]["content"]}
    return {
        **document,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
    }


def _stub_chunk(said: Answer) -> list[Event]:
    choice = {"index": 0, "delta": {"role": "assistant", "content": said.text}, "finish_reason": "stop"}
    chunk = {
        "id": f"chatcmpl-{said.ident}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": "manifest",
        "choices": [choice],
    }
    return [Event(dump(chunk)), Event("[DONE]", terminal=True)]


def main() -> None:
    """Serve by hand or as a child of a test."""
    arguments = parser(__doc__)
    arguments.add_argument("--key", action="append", default=[], help=f"a valid key (default {KEY})")
    arguments.add_argument("--expired-key", action="append", default=[])
    arguments.add_argument("--no-limits", action="store_true", help="no 200 a minute, no 10 at a time")
    options = arguments.parse_args()
    manifest = Manifest(set(options.key or [KEY]), set(options.expired_key), not options.no_limits)
    run(Desk(manifest.answer, unscripted=("/v1/models", "/api/v1/health", "/api/v1/setup/status")), options)


if __name__ == "__main__":
    main()
