"""A fake llama-swap for the states a real one cannot be put into quickly.

Beside the keys of play.py and answers.py a script may have: `load_s` (a cold model blocks that long), `load_gate`
(it blocks until released), `load_error` (text: the load fails), `loading_deltas` (sendLoadingState: 200 at once, then
jokes), `error` (not_found, start_failed, health_timeout, not_ready, concurrency, shutting_down, peer, upstream_died,
overflow), `old_errors` (bare strings, before #1038), `keep_loaded`: false (every request is a cold start), and `do`
of the upstream sim. A truncated stream is `cut: {"after": n, "how": "end"}`.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from tests.sim import play, upstream
from tests.sim.answers import answer_from, dump, protocol_of
from tests.sim.control import Desk, Script, parser, run
from tests.sim.llama_swap_events import broadcast, tell
from tests.sim.plumbing import Exchange

MODELS: list[dict[str, Any]] = [
    {"id": "qwen-coder", "context": 32768, "tools": True, "aliases": ["coder"], "description": "a coder"},
    {"id": "gemma-small", "context": 8192, "vision": True},
    {"id": "mystery", "cmd": "llama-server -m mystery.gguf -c 4096 --port 9001"},
]
ERRORS: dict[str, tuple[int, str, str, str]] = {
    "no_model": (404, "invalid_request_error", "not_found", "no model id could be identified"),
    "not_found": (404, "invalid_request_error", "not_found", "no router for requested model"),
    "start_failed": (
        500,
        "server_error",
        "internal_error",
        "unspecific error: upstream command exited prematurely",
    ),
    "health_timeout": (
        500,
        "server_error",
        "internal_error",
        "unspecific error: health check timed out after 2m0s",
    ),
    "shutting_down": (500, "server_error", "internal_error", "unspecific error: process is shutting down"),
    "not_ready": (503, "server_error", "service_unavailable", "[{model}] process is not ready"),
    "concurrency": (429, "rate_limit_error", "concurrency_limit", "too many requests in flight for {model}"),
    "peer": (502, "server_error", "bad_gateway", "peer proxy error: connection refused"),
    "auth": (401, "authentication_error", "unauthorized", "unauthorized: invalid API key"),
}
DISPATCHED = (
    "/v1/chat/completions",
    "/v1/messages",
    "/v1/responses",
    "/v1/completions",
    "/v1/messages/count_tokens",
    "/v1/embeddings",
)
JOKES = (
    "llama-swap loading model: {model}\n",
    "Warming up the GPU...",
    ".",
    "Queue position: #1\n",
    "Done! (1.2s)\n",
)


class LlamaSwap:
    """The models, which of them run, and the answer to each request."""

    def __init__(self, models: list[dict[str, Any]], api_keys: set[str], concurrency: int) -> None:
        self.models = models
        self.api_keys = api_keys
        self.concurrency = concurrency
        self.flying: dict[str, int] = {}

    async def answer(self, exchange: Exchange, script: Script, desk: Desk) -> None:
        """Play one script."""
        request = exchange.request
        if request.path == "/health":
            await exchange.reply(200, b"OK", [("content-type", "text/plain")])
        elif self.api_keys and not self._allowed(exchange):
            await self.refuse(
                exchange, "auth", script, extra=[("www-authenticate", 'Basic realm="llama-swap"')]
            )
        elif request.method == "POST" and request.path in DISPATCHED:
            await self._dispatch(exchange, script, desk)
        elif request.path.startswith("/upstream/"):
            await self._upstream(exchange, script, desk)
        else:
            await self._control(exchange, desk)

    async def _upstream(self, exchange: Exchange, script: Script, desk: Desk) -> None:
        """A request straight to a model's server, which is started for it when it does not run."""
        name, _, rest = exchange.request.path.removeprefix("/upstream/").partition("/")
        row = self.find(name)
        if row is None:
            await self.refuse(exchange, "not_found", script)
            return
        if self.states(desk).get(row["id"]) != "ready" and not await self._load(
            exchange, script, desk, row["id"], False
        ):
            return
        if script.get("do", "answer") != "answer":
            await upstream.answer(exchange, script, desk)
        elif rest == "v1/chat/completions/input_tokens":
            counted = len(json.dumps(exchange.request.json()).split())
            await exchange.reply_json(200, {"input_tokens": counted, "object": "response.input_tokens"})
        else:
            await exchange.reply(404, b"404 page not found\n", [("content-type", "text/plain")])

    def _allowed(self, exchange: Exchange) -> bool:
        bearer = exchange.request.header("authorization").removeprefix("Bearer ").strip()
        return bearer in self.api_keys or exchange.request.header("x-api-key") in self.api_keys

    def find(self, name: str) -> dict[str, Any] | None:
        """The model of that id or alias."""
        return next((row for row in self.models if name == row["id"] or name in row.get("aliases", ())), None)

    def states(self, desk: Desk) -> dict[str, str]:
        """What runs: model id to starting or ready (a wipe of the desk stops everything)."""
        return desk.state.setdefault("running", {})

    async def _control(self, exchange: Exchange, desk: Desk) -> None:
        path, states = exchange.request.path, self.states(desk)
        if path in ("/v1/models", "/models"):
            await exchange.reply_json(
                200, {"object": "list", "data": [self._record(r, states) for r in self.models]}
            )
        elif path == "/running":
            rows = [self._process(row, states[row["id"]]) for row in self.models if row["id"] in states]
            await exchange.reply_json(200, {"running": rows})
        elif path == "/api/version":
            built = {"version": "v250", "commit": "0bdb3720", "build_date": "2026-08-14T00:00:00Z"}
            await exchange.reply_json(200, built)
        elif path in ("/unload", "/api/models/unload"):
            states.clear()
            broadcast(desk, self.models)
            if path == "/unload":
                await exchange.reply(200, b"OK", [("content-type", "text/plain")])
            else:
                await exchange.reply_json(200, {"msg": "ok"})
        elif path == "/api/events":
            await tell(exchange, desk, self.models)
        elif path == "/props":
            row = self.find(exchange.request.query.get("model", "")) or {}
            settings = {"n_ctx": row.get("slot") or row.get("context", 4096)}
            await exchange.reply_json(200, {"default_generation_settings": settings, "total_slots": 4})
        else:
            await exchange.reply(404, b"404 page not found\n", [("content-type", "text/plain")])

    def _record(self, row: dict[str, Any], states: dict[str, str]) -> dict[str, Any]:
        record: dict[str, Any] = {
            "id": row["id"],
            "object": "model",
            "created": int(time.time()),
            "owned_by": "llama-swap",
            "status": {"value": "loaded" if row["id"] in states else "unloaded"},
        }
        meta: dict[str, Any] = {"llamaswap": {"type": "model", "aliases": row.get("aliases", [])}}
        if "context" in row:
            record["context_length"] = meta["n_ctx"] = row["context"]
        able = {"vision": row.get("vision", False), "function_calling": row.get("tools", False)}
        if any(able.values()):
            record["capabilities"] = {name: True for name, value in able.items() if value}
        if row.get("tools"):
            record["supported_parameters"] = ["tools", "tool_choice"]
        named = {key: row[key] for key in ("name", "description") if key in row}
        return {**record, **named, "meta": meta}

    def _process(self, row: dict[str, Any], state: str) -> dict[str, Any]:
        default = f"llama-server -m {row['id']}.gguf --port 9001"
        process = {"model": row["id"], "state": state, "cmd": row.get("cmd", default), "ttl": 0}
        named = {"name": row.get("name", ""), "description": row.get("description", "")}
        return {**process, "proxy": "http://localhost:9001", **named}

    async def refuse(
        self,
        exchange: Exchange,
        what: str,
        script: Script,
        model: str = "",
        extra: list[tuple[str, str]] | None = None,
    ) -> None:
        """One of llama-swap's own errors, in the new or the old shape."""
        status, kind, code, text = ERRORS[what]
        document = error_document(text.format(model=model), kind, code, old=bool(script.get("old_errors")))
        await exchange.reply_json(status, document, extra or [])

    async def _dispatch(self, exchange: Exchange, script: Script, desk: Desk) -> None:
        parsed = exchange.request.json()
        body: dict[str, Any] = parsed if isinstance(parsed, dict) else {}
        row = self.find(str(body.get("model", "")))
        if row is None or "application/json" not in exchange.request.header("content-type"):
            await self.refuse(exchange, "not_found" if body.get("model") else "no_model", script)
            return
        model, error = row["id"], script.get("error")
        if self.flying.get(model, 0) >= self.concurrency:
            error = "concurrency"
        if error == "upstream_died":
            await exchange.reply(502, b"", [])
        elif error == "overflow":
            await exchange.reply_json(400, _overflow(script, row))
        elif error is not None:
            retry = [("retry-after", "1")] if error == "concurrency" else []
            await self.refuse(exchange, error, script, model, retry)
        else:
            self.flying[model] = self.flying.get(model, 0) + 1
            try:
                await self._generate(exchange, script, desk, body, model)
            finally:
                self.flying[model] -= 1

    async def _generate(
        self, exchange: Exchange, script: Script, desk: Desk, body: dict[str, Any], model: str
    ) -> None:
        states, streamed = self.states(desk), body.get("stream") is True
        cold = states.get(model) != "ready" or script.get("keep_loaded") is False
        protocol = protocol_of(exchange.request.path)
        lively = bool(script.get("loading_deltas")) and streamed and protocol == "chat" and cold
        if lively:
            await exchange.start(200, [("content-type", "text/event-stream"), ("x-accel-buffering", "no")])
        if cold and not await self._load(exchange, script, desk, model, lively):
            return
        if script.get("do", "answer") != "answer":
            await upstream.answer(exchange, script, desk)
            return
        said = answer_from(
            {"model": model, "always_usage": False, **script}, body, f"ls-{exchange.notes.get('n', 0)}"
        )
        if not streamed:
            document = json.dumps(play.whole(protocol, said), ensure_ascii=False).encode()
            await play.document(exchange, document, script, desk)
        else:
            events, extra = play.events_of(protocol, said, body), [("x-accel-buffering", "no")]
            await play.stream(exchange, events, script, desk, protocol, extra, begun=lively)

    async def _load(self, exchange: Exchange, script: Script, desk: Desk, model: str, lively: bool) -> bool:
        """Start a model, other models stop; False when the load failed and the failure was told."""
        states = self.states(desk)
        states.clear()
        states[model] = "starting"
        broadcast(desk, self.models)
        if lively:
            for joke in JOKES[:-1]:
                await exchange.send(_delta(joke.format(model=model)))
        if script.get("load_gate"):
            await desk.gate(script["load_gate"]).wait()
        await asyncio.sleep(script.get("load_s", 0))
        if not script.get("load_error"):
            if lively:
                await exchange.send(_delta(JOKES[-1]))
            states[model] = "ready"
            broadcast(desk, self.models)
            return True
        states.pop(model, None)
        broadcast(desk, self.models)
        text, old = str(script["load_error"]), bool(script.get("old_errors"))
        document = error_document(f"unspecific error: {text}", "server_error", "internal_error", old=old)
        if lively:
            await exchange.send(dump(document).encode() + b"\n")
            await exchange.finish()
        else:
            await exchange.reply_json(500, document)
        return False


def error_document(message: str, kind: str, code: str, *, old: bool) -> dict[str, Any]:
    """The error of today, or the bare string of before #1038."""
    if old:
        return {"src": "llama-swap", "error": message}
    return {"src": "llama-swap", "error": {"message": message, "type": kind, "param": None, "code": code}}


def _overflow(script: Script, row: dict[str, Any]) -> dict[str, Any]:
    """llama-server's refusal of a prompt that does not fit, which llama-swap passes through."""
    held, asked = row.get("context", 4096), script.get("n_prompt_tokens", 40_000)
    text = f"request ({asked} tokens) exceeds the available context size ({held} tokens), try increasing it"
    error = {"code": 400, "message": text, "type": "exceed_context_size_error"}
    return {"error": {**error, "n_prompt_tokens": asked, "n_ctx": held}}


def _delta(text: str) -> bytes:
    """A loading delta: no id, no object, no index, no model."""
    return b"data: " + dump({"choices": [{"delta": {"reasoning_content": text}}]}).encode() + b"\n\n"


def main() -> None:
    """Serve by hand or as a child of a test."""
    arguments = parser(__doc__)
    arguments.add_argument("--models", default="", help="JSON list of models in place of the built-in three")
    arguments.add_argument("--api-key", action="append", default=[])
    arguments.add_argument("--concurrency", type=int, default=10, help="in flight for each model before 429")
    options = arguments.parse_args()
    models = json.loads(options.models) if options.models else MODELS
    swap = LlamaSwap(models, set(options.api_key), options.concurrency)
    paths = (
        "/v1/models",
        "/models",
        "/running",
        "/health",
        "/api/version",
        "/api/events",
        "/props",
        "/unload",
    )
    run(Desk(swap.answer, unscripted=(*paths, "/api/models/unload")), options)


if __name__ == "__main__":
    main()
