"""The desk of a fake: which script the next request gets, what came in, and the control endpoints for both.

Control lives on a port of its own (and, for use by hand, on the main port too), all under `/__`:
POST /__script {"default": {...}, "queue": [...], "append": [...]}   GET /__script
GET /__requests   POST /__reset   GET /__open   POST /__listen {"mode": "open|reset|refuse", "drop": bool}
POST /__release {"gate": name}   GET /__wait?what=requests|finished|closed_early|open&n=1&timeout_s=5
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from tests.sim.plumbing import Exchange, Server

Script = dict[str, Any]
Answerer = Callable[[Exchange, Script, "Desk"], Awaitable[None]]
POLL_S = 0.002


class Desk:
    """Scripts in, requests out; `answer` plays one script to one request."""

    def __init__(self, answer: Answerer, unscripted: tuple[str, ...] = ()) -> None:
        self.answer = answer
        self.unscripted = unscripted
        self.start_script: Script = {}
        self.server = Server(self._serve)
        self.control = Server(self._control)
        self.server.on_left = self._left
        self.state: dict[str, Any] = {}
        self.clear()

    def clear(self) -> None:
        """Forget requests, scripts, gates and whatever the fake has learnt."""
        self.default: Script = dict(self.start_script)
        self.queue: list[Script] = []
        self.log: list[dict[str, Any]] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.state.clear()

    def gate(self, name: str) -> asyncio.Event:
        """The event that `POST /__release` sets."""
        return self.gates.setdefault(name, asyncio.Event())

    def take(self, exchange: Exchange) -> Script:
        """The first queued script that wants this request, else the default."""
        if exchange.request.path in self.unscripted:
            return {}
        for at, script in enumerate(self.queue):
            if _wants(script.get("match"), exchange):
                return self.queue.pop(at)
        return self.default

    async def _serve(self, exchange: Exchange) -> None:
        if exchange.request.path.startswith("/__"):
            await self._control(exchange)
            return
        entry = self._enter(exchange)
        try:
            script = self.take(exchange)
            entry["script"] = script
            await self.answer(exchange, script, self)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            entry["error"] = repr(error)
            exchange.fin()
        finally:
            entry["finished"] = time.monotonic()
            entry["outcome"] = "complete" if exchange.complete else "cut" if exchange.cut else "left"
            entry["sent_bytes"] = exchange.sent_bytes
            entry.update(exchange.notes)

    def _enter(self, exchange: Exchange) -> dict[str, Any]:
        request = exchange.request
        entry: dict[str, Any] = {
            "n": len(self.log),
            "connection": exchange.connection,
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "target": request.target,
            "headers": request.headers,
            "body": request.json(),
            "text": request.body.decode("utf-8", "replace"),
            "body_bytes": len(request.body),
            "chunked": request.chunked,
            "received": request.received,
            "finished": None,
            "outcome": None,
            "closed_early": None,
        }
        exchange.notes["n"] = entry["n"]
        self.log.append(entry)
        entry["_exchange"] = exchange
        return entry

    def _left(self, exchange: Exchange, when: float) -> None:
        number = exchange.notes.get("n")
        if number is not None and number < len(self.log) and self.log[number]["_exchange"] is exchange:
            self.log[number]["closed_early"] = when

    def _public(self) -> list[dict[str, Any]]:
        rows = []
        for entry in self.log:
            row = {key: value for key, value in entry.items() if not key.startswith("_")}
            row["sent_bytes"] = entry["_exchange"].sent_bytes
            rows.append(row)
        return rows

    def _count(self, what: str) -> int:
        if what == "open":
            return len(self.server.connections)
        if what == "finished":
            return sum(entry["finished"] is not None for entry in self.log)
        if what == "closed_early":
            return sum(entry["closed_early"] is not None for entry in self.log)
        return len(self.log)

    async def _wait(self, query: dict[str, str]) -> dict[str, Any]:
        what, wanted = query.get("what", "requests"), int(query.get("n", "1"))
        until = time.monotonic() + float(query.get("timeout_s", "5"))
        while True:
            count = self._count(what)
            done = count <= wanted if what == "open" else count >= wanted
            if done or time.monotonic() >= until:
                return {"ok": done, "count": count}
            await asyncio.sleep(POLL_S)

    async def _control(self, exchange: Exchange) -> None:
        request, body = exchange.request, exchange.request.json() or {}
        answer: Any = {"ok": True}
        match (request.method, request.path):
            case ("POST", "/__script"):
                self.default = body.get("default", self.default)
                self.queue = [*body.get("queue", self.queue), *body.get("append", [])]
            case ("GET", "/__script"):
                answer = {"default": self.default, "queue": self.queue}
            case ("GET", "/__requests"):
                answer = self._public()
            case ("POST", "/__reset"):
                self.clear()
            case ("GET", "/__open"):
                answer = {"open": len(self.server.connections), "accepted": self.server.accepted}
            case ("POST", "/__listen"):
                await self.server.listen(body.get("mode", "open"), bool(body.get("drop")))
            case ("POST", "/__release"):
                self.gate(str(body.get("gate", "gate"))).set()
            case ("GET", "/__wait"):
                answer = await self._wait(request.query)
            case _:
                await exchange.reply_json(404, {"error": "no such control endpoint"})
                return
        await exchange.reply_json(200, answer)


def _wants(match: Any, exchange: Exchange) -> bool:
    if not match:
        return True
    request = exchange.request
    if "path" in match and match["path"] != request.path:
        return False
    return str(match.get("contains", "")).encode() in request.body


def parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments every fake has."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=0, help="0 takes a free one")
    arguments.add_argument("--control-port", type=int, default=0)
    arguments.add_argument("--default", default="{}", help="the default script, as JSON")
    arguments.add_argument(
        "--until-stdin-closes", action="store_true", help="end when whoever started this ends"
    )
    return arguments


def run(desk: Desk, options: argparse.Namespace) -> None:
    """Serve until killed; one JSON line on stdout once both ports listen."""
    asyncio.run(_run(desk, options))


async def _run(desk: Desk, options: argparse.Namespace) -> None:
    desk.start_script = json.loads(options.default)
    desk.clear()
    desk.server.host = desk.control.host = options.host
    desk.server.port, desk.control.port = options.port, options.control_port
    await desk.server.start()
    await desk.control.start()
    ready = {"ready": True, "port": desk.server.port, "control_port": desk.control.port}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    if options.until_stdin_closes:
        await asyncio.to_thread(sys.stdin.buffer.read)
    else:
        await asyncio.Event().wait()
