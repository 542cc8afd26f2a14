"""Which folder a request came from, found once for each connection, off the event loop."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from brainrouter.adapters.peer import cwd_of, tcp_pid, unix_pid
from brainrouter.http1.message import Peer
from brainrouter.live import InFlight

REMEMBERED = 1024


class Callers:
    """Fills `cwd` of events. A label for the eye: nothing is ever decided by it."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._known: OrderedDict[int, tuple[Peer, asyncio.Task[str | None]]] = OrderedDict()

    def note(self, peer: Peer, running: InFlight) -> None:
        """Fill in the folder now if it is known, else as soon as it is."""
        held = self._known.get(id(peer))
        if held is None or held[0] is not peer:
            held = peer, self._group.create_task(asyncio.to_thread(_cwd, peer))
            self._known[id(peer)] = held
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        task = held[1]
        if task.done():
            running.event.cwd = _result(task)
        else:
            task.add_done_callback(lambda done: _fill(running, done))


def _fill(running: InFlight, task: asyncio.Task[str | None]) -> None:
    running.event.cwd = _result(task)


def _result(task: asyncio.Task[str | None]) -> str | None:
    return None if task.cancelled() or task.exception() else task.result()


def _cwd(peer: Peer) -> str | None:
    unix = peer.kind == "unix"
    pid = unix_pid(peer.socket) if unix else tcp_pid(peer.host, peer.port, peer.local[1])
    return cwd_of(pid) if pid else None
