"""Playing an answer on the wire: pace, slices, odd SSE, compression, and the place where it breaks.

Keys of a script that are read here (all optional):
latency_s  gate (wait for release before the head)  head_gap_s (between head and first event)  gap_s
slice (bytes a write)  slice_gap_s  split_at [offsets]  sse [crlf cr nospace comments multiline bom]
gzip  framing chunked|length|close  headers {}  content_type (null: none)  status
insert [{"at": n, "raw": text | "b64": bytes}]
cut {"after": n, "how": stall|reset|fin|end|error|gate, "gate": name, "pings_s": s, "message": text}
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import zlib
from typing import Any

from tests.sim import say_chat, say_messages, say_responses
from tests.sim.answers import CHAT, MESSAGES, Answer, Event, dump
from tests.sim.control import Desk, Script
from tests.sim.plumbing import Exchange

SAY = {"chat": say_chat, "messages": say_messages, "responses": say_responses}


def whole(protocol: str, answer: Answer) -> dict[str, Any]:
    """The answer as one document of the protocol."""
    return SAY[protocol].whole(answer)


def events_of(protocol: str, answer: Answer, body: Any) -> list[Event]:
    """The answer as the protocol's events."""
    return SAY[protocol].stream(answer, body if isinstance(body, dict) else {})


def error_document(
    protocol: str, message: str, kind: str = "server_error", code: str | None = None
) -> dict[str, Any]:
    """An error as the protocol says it."""
    if protocol == MESSAGES:
        return {"type": "error", "error": {"type": kind, "message": message}}
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def error_events(protocol: str, message: str) -> list[Event]:
    """A failure in the middle of a stream, as Manifest reports it in each protocol."""
    if protocol == CHAT:
        return [Event(dump(error_document(CHAT, message))), Event("[DONE]")]
    if protocol == MESSAGES:
        return [Event(dump(error_document(MESSAGES, message, "api_error")), "error")]
    return [
        Event(dump({"type": "error", "code": "server_error", "message": message, "param": None}), "error")
    ]


def render(event: Event, styles: list[str]) -> bytes:
    """One event as bytes, in a style that the WHATWG grammar allows."""
    if event.raw is not None:
        return event.raw
    data, space = event.data, "" if "nospace" in styles else " "
    if "multiline" in styles and data.startswith("{"):
        data = json.dumps(json.loads(data), ensure_ascii=False, indent=0)
    lines = [": a comment", "id: 1", "retry: 3000", "unknown-field: x"] if "comments" in styles else []
    if event.name:
        lines.append(f"event:{space}{event.name}")
    lines += [f"data:{space}{line}" for line in data.split("\n")]
    end = "\r\n" if "crlf" in styles else "\r" if "cr" in styles else "\n"
    return (end.join(lines) + end + end).encode("utf-8", "surrogatepass")


def inserted(script: Script) -> dict[int, bytes]:
    """The raw bytes that a script puts before the event of each number."""
    return {
        int(item["at"]): base64.b64decode(item["b64"])
        if "b64" in item
        else item["raw"].encode("utf-8", "surrogatepass")
        for item in script.get("insert", ())
    }


def head_fields(script: Script, content_type: str, extra: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of an answer."""
    kind = script.get("content_type", content_type)
    fields = [("content-type", kind)] if kind else []
    if script.get("gzip"):
        fields.append(("content-encoding", "gzip"))
    return [*fields, *extra, *script.get("headers", {}).items()]


async def opening(script: Script, desk: Desk) -> None:
    """What happens before the head."""
    if script.get("latency_s"):
        await asyncio.sleep(script["latency_s"])
    if script.get("gate"):
        await desk.gate(script["gate"]).wait()


async def write(exchange: Exchange, data: bytes, script: Script) -> None:
    """A piece of the body, in slices where the script wants them."""
    size = script.get("slice")
    if not size:
        await exchange.send(data)
        return
    for at in range(0, len(data), size):
        await exchange.send(data[at : at + size])
        await asyncio.sleep(script.get("slice_gap_s", 0))


async def cut(exchange: Exchange, how: dict[str, Any], protocol: str, desk: Desk) -> bool:
    """Break the answer; False when it goes on after all."""
    match how.get("how", "stall"):
        case "reset":
            await asyncio.sleep(how.get("delay_s", 0.01))
            exchange.reset()
        case "fin":
            exchange.fin()
        case "end":
            await exchange.finish()
        case "error":
            for event in error_events(protocol, how.get("message", "the provider broke off")):
                await exchange.send(render(event, []))
            await exchange.finish()
        case "gate":
            await desk.gate(how.get("gate", "gate")).wait()
            return False
        case _:
            while True:
                await asyncio.sleep(how.get("pings_s", 3600))
                await exchange.send(b": ping\n\n")
    return True


async def stream(
    exchange: Exchange,
    events: list[Event],
    script: Script,
    desk: Desk,
    protocol: str = CHAT,
    extra: list[tuple[str, str]] | None = None,
    *,
    begun: bool = False,
) -> None:
    """Send events as SSE, as the script says; `begun` when the head has been sent already."""
    if not begun:
        await opening(script, desk)
    styles, before, broken = script.get("sse", []), inserted(script), script.get("cut")
    fields = [*(extra or []), ("cache-control", "no-cache")]
    head = head_fields(script, "text/event-stream; charset=utf-8", fields)
    packer = zlib.compressobj(wbits=31) if script.get("gzip") else None
    pieces = [render(event, styles) for event in events]
    if "bom" in styles:
        pieces[0] = b"\xef\xbb\xbf" + pieces[0]
    if script.get("split_at"):
        joined, marks = b"".join(pieces), [0, *sorted(script["split_at"]), None]
        pieces = [joined[start:end] for start, end in itertools.pairwise(marks)]
    framing = script.get("framing", "chunked")
    length = sum(map(len, pieces))
    if not begun:
        await exchange.start(script.get("status", 200), head, framing, script.get("length", length))
    await asyncio.sleep(script.get("head_gap_s", 0))
    for number, piece in enumerate(pieces):
        if number in before:
            await write(exchange, before[number], script)
        if broken and number == broken.get("after", 0) and await cut(exchange, broken, protocol, desk):
            return
        data = packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) if packer else piece
        await write(exchange, data, script)
        if script.get("gap_s") and number + 1 < len(pieces):
            await asyncio.sleep(script["gap_s"])
    if packer:
        await exchange.send(packer.flush())
    await exchange.finish()


async def document(
    exchange: Exchange,
    body: bytes,
    script: Script,
    desk: Desk,
    extra: list[tuple[str, str]] | None = None,
    content_type: str = "application/json",
) -> None:
    """Send a whole body, as the script says; a cut comes before it (`after` 0) or in its middle."""
    await opening(script, desk)
    if script.get("gzip"):
        packer = zlib.compressobj(wbits=31)
        body = packer.compress(body) + packer.flush()
    head = head_fields(script, content_type, extra or [])
    status, framing = script.get("status", 200), script.get("framing", "length")
    broken = script.get("cut")
    plain = framing == "length" and not any(
        script.get(key) for key in ("cut", "slice", "split_at", "head_gap_s", "length")
    )
    if plain:
        await exchange.reply(status, body, head)
        return
    await exchange.start(status, head, framing, script.get("length", len(body)))
    await asyncio.sleep(script.get("head_gap_s", 0))
    if broken:
        await write(exchange, body[: len(body) // 2] if broken.get("after", 0) else b"", script)
        how = {**broken, "how": "fin"} if broken.get("how") in ("end", "error") else broken
        if await cut(exchange, how, CHAT, desk):
            return
        body = body[len(body) // 2 :] if broken.get("after", 0) else body
    start = 0
    for end in script.get("split_at", ()):
        await write(exchange, body[start:end], script)
        await asyncio.sleep(script.get("slice_gap_s", 0))
        start = end
    await write(exchange, body[start:], script)
    await exchange.finish()
