"""A scripted upstream that answers in three protocols and breaks in every way we know of.

`do` of a script: answer (default), raw, bytes, silence, reset, fin, endless, drip, huge_line.
tests/sim/scripts.py has a constructor for each; tests/sim/play.py says what shapes an answer.
"""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from dataclasses import replace

from tests.sim import play
from tests.sim.answers import answer_from, protocol_of
from tests.sim.control import Desk, Script, parser, run
from tests.sim.plumbing import Exchange

ZEROS = bytes(1 << 16)


async def answer(exchange: Exchange, script: Script, desk: Desk) -> None:
    """Play one script."""
    match script.get("do", "answer"):
        case "silence":
            await asyncio.Event().wait()
        case "reset":
            exchange.reset()
        case "fin":
            exchange.fin()
        case "raw":
            await _raw(exchange, script, desk)
        case "bytes":
            await _bytes(exchange, script, desk)
        case "endless":
            await _endless(exchange, script, desk)
        case "drip":
            await exchange.start(200, play.head_fields(script, "application/json", []), "length", 1 << 30)
            while True:
                await exchange.send(b" ")
                await asyncio.sleep(script.get("gap_s", 1.0))
        case "huge_line":
            await _huge_line(exchange, script)
        case _:
            await _answer(exchange, script, desk)


async def _answer(exchange: Exchange, script: Script, desk: Desk) -> None:
    request = exchange.request
    if request.path.endswith("/models"):
        rows = [{"id": "sim-model", "object": "model", "created": 0, "owned_by": "sim"}]
        await exchange.reply_json(200, {"object": "list", "data": rows})
        return
    if request.path.endswith("/health"):
        await exchange.reply_json(200, {"status": "ok"})
        return
    body = request.json()
    protocol = script.get("protocol") or protocol_of(request.path)
    said = answer_from(script, body, f"sim-{exchange.notes.get('n', 0)}")
    wanted = script.get("stream", bool(isinstance(body, dict) and body.get("stream")))
    if wanted:
        await play.stream(exchange, play.events_of(protocol, said, body), script, desk, protocol)
        return
    document = json.dumps(play.whole(protocol, said), ensure_ascii=False).encode()
    await play.document(exchange, document, script, desk)


def _body(script: Script) -> bytes:
    if "b64" in script:
        return base64.b64decode(script["b64"])
    body = script.get("body", "")
    return body.encode("utf-8", "surrogatepass") if isinstance(body, str) else json.dumps(body).encode()


async def _raw(exchange: Exchange, script: Script, desk: Desk) -> None:
    """A status, headers and body of the script's own, in right framing; `zeros` makes a gzip bomb."""
    if script.get("zeros"):
        packer = zlib.compressobj(wbits=31)
        await exchange.start(
            script.get("status", 200), play.head_fields({**script, "gzip": True}, "application/json", [])
        )
        for _ in range(script["zeros"] // len(ZEROS)):
            if piece := packer.compress(ZEROS):
                await exchange.send(piece)
        await exchange.send(packer.flush())
        await exchange.finish()
        return
    kind = "text/event-stream" if script.get("event_stream") else "application/json"
    await play.document(exchange, _body(script), script, desk, content_type=kind)


async def _bytes(exchange: Exchange, script: Script, desk: Desk) -> None:
    """Exactly these bytes; then `then`: close (default), keep, reset or stall."""
    await play.opening(script, desk)
    await exchange.raw(_body(script))
    match script.get("then", "close"):
        case "keep":
            exchange.complete = True
        case "reset":
            await play.cut(exchange, {"how": "reset"}, "chat", desk)
        case "stall":
            await asyncio.Event().wait()
        case _:
            exchange.fin()


async def _endless(exchange: Exchange, script: Script, desk: Desk) -> None:
    """Text deltas until the peer leaves; writes wait while the peer does not read."""
    await play.opening(script, desk)
    body, protocol = exchange.request.json(), protocol_of(exchange.request.path)
    text = "x" * script.get("size", 1024)
    said = replace(answer_from({}, body, "endless"), text=text, piece_chars=len(text))
    events = play.events_of(protocol, said, body)
    first = next(at for at, event in enumerate(events) if text in event.data)
    await exchange.start(200, play.head_fields(script, "text/event-stream; charset=utf-8", []))
    for event in events[:first]:
        await exchange.send(play.render(event, []))
    delta, gap = play.render(events[first], []), script.get("gap_s", 0)
    while True:
        await exchange.send(delta)
        await asyncio.sleep(gap)


async def _huge_line(exchange: Exchange, script: Script) -> None:
    """One `data:` line without an end for `size` bytes."""
    await exchange.start(200, play.head_fields(script, "text/event-stream; charset=utf-8", []))
    await exchange.send(b'data: {"choices":[{"index":0,"delta":{"content":"')
    for _ in range(script.get("size", 64 << 20) // len(ZEROS)):
        await exchange.send(b"a" * len(ZEROS))
    await exchange.send(b'"}}]}\n\ndata: [DONE]\n\n')
    await exchange.finish()


def main() -> None:
    """Serve by hand or as a child of a test."""
    run(Desk(answer, unscripted=("/v1/models", "/health")), parser(__doc__).parse_args())


if __name__ == "__main__":
    main()
