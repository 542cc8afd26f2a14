"""Who is calling: whether they may, and from which folder. Found once for each connection."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from brainrouter.adapters.peer import TcpPeers, cwd_of, same_user, unix_pid
from brainrouter.http1.message import Peer
from brainrouter.live import InFlight

REMEMBERED = 1024


class Callers:
    """Keeps other users of the machine out, and finds the folder that a caller works in, off the event loop."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[Peer, asyncio.Future[str | None]]] = OrderedDict()
        self._admitted: OrderedDict[int, tuple[Peer, bool]] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, "callers")
        self._tcp = TcpPeers()

    def note(self, peer: Peer, running: InFlight) -> None:
        """Fill in the folder now if it is known, else as soon as it is."""
        found = running.folder = self.folder(peer)
        if found.done():
            _fill(running, found)
        else:
            found.add_done_callback(partial(_fill, running))

    def folder(self, peer: Peer) -> asyncio.Future[str | None]:
        """What will tell the folder of the process at the other end, or that it cannot be seen."""
        held = self._known.get(id(peer))
        if held is None or held[0] is not peer:
            held = peer, asyncio.get_running_loop().run_in_executor(self._thread, self._cwd, peer)
            self._known[id(peer)] = held
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return held[1]

    def admits(self, peer: Peer) -> bool:
        """Whether a TCP caller is this user (or root): the loopback port is open to everybody on the machine."""
        held = self._admitted.get(id(peer))
        if held is None or held[0] is not peer:
            held = peer, same_user(peer.host, peer.port, *peer.local[:2])
            self._admitted[id(peer)] = held
            if len(self._admitted) > REMEMBERED:
                self._admitted.popitem(last=False)
        return held[1]

    def close(self) -> None:
        """Look nobody up any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _cwd(self, peer: Peer) -> str | None:
        unix = peer.kind == "unix"
        pid = unix_pid(peer.socket) if unix else self._tcp.pid(peer.host, peer.port, *peer.local[:2])
        return cwd_of(pid) if pid else None


async def folder_of(peer: Peer) -> str | None:
    """The folder that the process at the other end of a Unix socket works in, as the kernel says."""
    pid = unix_pid(peer.socket)
    return None if pid is None else await asyncio.to_thread(cwd_of, pid)


def _fill(running: InFlight, found: asyncio.Future[str | None]) -> None:
    if not found.cancelled() and not found.exception():
        running.event.cwd = found.result()
