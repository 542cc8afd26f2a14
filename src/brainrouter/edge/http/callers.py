"""Who is calling: whether they may, and from which folder. Found once for each connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from brainrouter.adapters.inet_diag import InetDiag, Owner
from brainrouter.adapters.peer import TcpPeers, cwd_of, is_ours, unix_pid
from brainrouter.http1.message import Peer
from brainrouter.in_flight import InFlight
from brainrouter.remembered import remembered

REMEMBERED = 1024


class Callers:
    """Keeps other users of the machine out, and finds the folder that a caller works in.

    That is looked for in a thread, where it may take long.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "callers")
        self._tcp = TcpPeers()
        self._diag = InetDiag()
        # What will tell the folder of the process at the other end, or that it cannot be seen.
        self.folder: Callable[[Peer], asyncio.Future[str | None]] = remembered(self._look_up, REMEMBERED)
        # Whether a TCP caller is this user (or root): the loopback port is open to everybody on the machine.
        self.admits: Callable[[Peer], bool] = remembered(self._is_ours, REMEMBERED)
        self._owner: Callable[[Peer], Owner | None] = remembered(self._owner_of, REMEMBERED)

    def note(self, peer: Peer, running: InFlight) -> None:
        """Fill in the folder now if it is known, else as soon as it is."""
        found = running.folder = self.folder(peer)
        if found.done():
            _fill(running, found)
        else:
            found.add_done_callback(partial(_fill, running))

    def close(self) -> None:
        """Look nobody up any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._diag.close()

    def _owner_of(self, peer: Peer) -> Owner | None:
        return self._diag.owner(peer.host, peer.port, *peer.local[:2])

    def _is_ours(self, peer: Peer) -> bool:
        return is_ours(self._owner(peer))

    def _look_up(self, peer: Peer) -> asyncio.Future[str | None]:
        loop = asyncio.get_running_loop()
        if peer.kind == "unix":
            pid = unix_pid(peer.socket)
        else:
            found = self._owner(peer)
            pid = None if found is None else self._tcp.near(found)
            if pid is None and found is not None:
                return loop.run_in_executor(self._thread, self._cwd, found)
        folder: asyncio.Future[str | None] = loop.create_future()
        folder.set_result(cwd_of(pid))
        return folder

    def _cwd(self, found: Owner) -> str | None:
        return cwd_of(self._tcp.pid(found))


async def folder_of(peer: Peer) -> str | None:
    """The folder that the process at the other end of a Unix socket works in, as the kernel says."""
    pid = unix_pid(peer.socket)
    return None if pid is None else await asyncio.to_thread(cwd_of, pid)


def _fill(running: InFlight, found: asyncio.Future[str | None]) -> None:
    if not found.cancelled() and not found.exception():
        running.cwd = found.result()
