"""llama-swap's `/api/events`: SSE whose `data` is JSON inside JSON."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.sim.answers import dump
from tests.sim.control import Desk
from tests.sim.plumbing import Exchange


def _frame(kind: str, data: Any) -> bytes:
    return f"event:message\ndata:{dump({'type': kind, 'data': dump(data)})}\n\n".encode()


def rows(desk: Desk, models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The `modelStatus` rows."""
    states: dict[str, str] = desk.state.get("running", {})
    return [
        {
            "id": row["id"],
            "name": row.get("name", ""),
            "description": row.get("description", ""),
            "state": states.get(row["id"], "stopped"),
            "unlisted": False,
            "peerID": "",
            "aliases": row.get("aliases", []),
            "capabilities": {"vision": row.get("vision", False)},
            "context_length": row.get("context", 0),
        }
        for row in models
    ]


def broadcast(desk: Desk, models: list[dict[str, Any]]) -> None:
    """Tell every listener how the models stand."""
    listeners: list[asyncio.Queue[bytes]] = desk.state.get("listeners", [])
    for listener in listeners:
        listener.put_nowait(_frame("modelStatus", rows(desk, models)))


async def tell(exchange: Exchange, desk: Desk, models: list[dict[str, Any]]) -> None:
    """The first burst, then every change, until the listener leaves."""
    listener: asyncio.Queue[bytes] = asyncio.Queue()
    desk.state.setdefault("listeners", []).append(listener)
    await exchange.start(200, [("content-type", "text/event-stream"), ("cache-control", "no-cache")])
    burst = (
        ("logData", {"source": "proxy", "data": "llama-swap listening\n"}),
        ("modelStatus", rows(desk, models)),
        ("uiConfig", {}),
        ("profileChanged", {"active": None}),
        ("inflight", {"total": 0}),
    )
    for kind, data in burst:
        await exchange.send(_frame(kind, data))
    try:
        while True:
            await exchange.send(await listener.get())
    finally:
        listeners: list[asyncio.Queue[bytes]] = desk.state.get("listeners", [])
        if listener in listeners:
            listeners.remove(listener)
