"""Tells every open dashboard what happens: one encoding for all of them, a bounded queue for each.

With nobody looking it costs one look at an empty set for each batch of events.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any

import msgspec

from brainrouter.live import Live
from brainrouter.wire.event import RoutingEvent, shown
from brainrouter.wire.sse import frame

TICK_S = 0.4
PULSE_TICKS = 3  # how many ticks between two looks at a local model that is being waited for
MAX_DASHBOARDS = 64
QUEUE_FRAMES = 64
SNAPSHOT_EVENTS = 500

_ENCODER = msgspec.json.Encoder()
View = Callable[[], Any]


class Subscription:
    """One dashboard's frames. One that reads too slowly loses its queue and gets a new snapshot instead."""

    def __init__(self, snapshot: Callable[[], bytes]) -> None:
        self._snapshot = snapshot
        self._frames: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._behind = True  # so that the first thing taken is a snapshot
        self._over = False
        self._wake.set()

    def put(self, data: bytes) -> None:
        if self._behind:
            return
        if len(self._frames) >= QUEUE_FRAMES:
            self._frames.clear()
            self._behind = True
        else:
            self._frames.append(data)
        self._wake.set()

    def end(self) -> None:
        """No more frames will come."""
        self._over = True
        self._wake.set()

    async def take(self, within_s: float) -> bytes | None:
        """What has gathered; empty after `within_s` without news, None when it is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._wake.wait()
        self._wake.clear()
        if self._over:
            return None
        if self._behind:
            whole = self._snapshot()
            self._behind = False
            return whole
        data = b"".join(self._frames)
        self._frames.clear()
        return data


class Broadcast:
    """The hub. `views` are asked each tick while somebody looks, and sent where they have changed."""

    def __init__(
        self, live: Live, views: dict[str, View], constants: View, pulse: Callable[[], None]
    ) -> None:
        self._live = live
        self._views = views
        self._constants = constants
        self._pulse = pulse
        self._subscriptions: set[Subscription] = set()
        self._last: dict[str, bytes] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._ticks = 0
        self._closed = False

    @property
    def open(self) -> int:
        """How many dashboards are being told."""
        return len(self._subscriptions)

    @property
    def full(self) -> bool:
        """Whether there is no room for one more."""
        return len(self._subscriptions) >= MAX_DASHBOARDS or self._closed

    def subscribe(self) -> Subscription:
        """A new dashboard. Give it to `leave` when it goes."""
        subscription = Subscription(self._snapshot)
        self._subscriptions.add(subscription)
        if self._timer is None:
            self._later()
        return subscription

    def leave(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
        if not self._subscriptions and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def heard(self, events: list[RoutingEvent]) -> None:
        """A listener of the live state."""
        if self._subscriptions:
            self._send("routing", _ENCODER.encode([shown(event) for event in events]))

    def changed(self) -> None:
        """Look at the views now instead of at the next tick."""
        if self._subscriptions:
            self._look()

    def close(self) -> None:
        """End every stream, so that they hold up no shutdown."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.end()

    def _later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._ticks += 1
        if self._ticks % PULSE_TICKS == 0:
            self._pulse()
        self._look()
        self._later()

    def _look(self) -> None:
        for name, view in self._views.items():
            data = _ENCODER.encode(view())
            if self._last.get(name) != data:
                self._last[name] = data
                self._send(name, data)

    def _send(self, name: str, data: bytes) -> None:
        whole = frame(data, name)
        for subscription in self._subscriptions:
            subscription.put(whole)

    def _snapshot(self) -> bytes:
        self._live.tell()  # or what has just finished would come a second time
        body = {name: view() for name, view in self._views.items()}
        events = [shown(event) for event in islice(self._live.events, SNAPSHOT_EVENTS)]
        return frame(_ENCODER.encode({**self._constants(), **body, "events": events}), "snapshot")
