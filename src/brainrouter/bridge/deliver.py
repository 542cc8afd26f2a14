"""An answer to a chat: in parts that follow each other, or as a file where they would be too many."""

from __future__ import annotations

from brainrouter.bridge.chunk import chunk
from brainrouter.bridge.port import Port

MOST_PARTS = 20


async def deliver(port: Port, channel: str, text: str) -> None:
    """Send `text`, part after part, in order. Raises NotSent at the first part that cannot be delivered."""
    parts = chunk(text, port.limit)
    if len(parts) > MOST_PARTS:
        await port.send(channel, parts[0].text)
        note = f"This goes on for {len(parts)} messages, so here is the whole answer as a file."
        await port.send_file(channel, "answer.md", text.encode("utf-8", "replace"), note)
        return
    for part in parts:
        # A platform refuses a message of blanks; nothing is lost by leaving it out.
        if part.body.strip():
            await port.send(channel, part.text)
