"""An answer to a chat: in parts that follow each other, or as a file where they would be too many."""

from __future__ import annotations

from brainrouter.bridge.chunk import Part, chunk
from brainrouter.bridge.port import Port

MOST_PARTS = 20
NUMBER_UNITS = len("(20/20)\n")


async def deliver(port: Port, channel: str, text: str) -> None:
    """Send `text`, part after part, in order; more than two are numbered. Raises NotSent at the first that fails."""
    parts = _readable(text, port.limit)
    if len(parts) > 2:
        parts = _readable(text, port.limit - NUMBER_UNITS)
    if len(parts) > MOST_PARTS:
        await port.send(channel, parts[0].text)
        note = f"This goes on for {len(parts)} messages, so here is the whole answer as a file."
        await port.send_file(channel, "answer.md", text.encode("utf-8", "replace"), note)
        return
    for number, part in enumerate(parts, 1):
        numbered = f"({number}/{len(parts)})\n" if len(parts) > 2 else ""
        await port.send(channel, numbered + part.text)


def _readable(text: str, limit: int) -> list[Part]:
    """The parts, without blank ones: a platform refuses those, and nothing is lost by leaving them out."""
    return [part for part in chunk(text, limit) if part.body.strip()]
