"""The stand-in for signal-cli, when it ends: nobody stays connected to what is gone."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from pathlib import Path

import pytest

from tests.sim.signal import Signal


def called(signal: Signal) -> socket.socket:
    """A client that has just connected, and has not been taken in yet."""
    if signal.url:
        return socket.create_connection(("127.0.0.1", int(signal.url.rsplit(":", 1)[1])), timeout=20)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(signal.address)
    return client


async def ended_while_they_come(signal: Signal, steps: int) -> list[socket.socket]:
    clients = [called(signal) for _ in range(3)]
    for _ in range(steps):
        await asyncio.sleep(0)
    await signal._close()
    return clients


def hears(client: socket.socket) -> bytes:
    with client:
        try:
            return client.recv(1)
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("steps", range(8))
@pytest.mark.parametrize("over_http", [False, True])
def test_who_comes_in_the_moment_of_the_end_is_let_go_and_not_forgotten(
    tmp_path: Path, over_http: bool, steps: int
):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with Signal(tmp_path / "socket", over_http=over_http) as signal:
            clients = signal._thread.run(ended_while_they_come(signal, steps))
            assert [hears(client) for client in clients] == [b""] * 3
            signal.open()
            called(signal).close()
        gc.collect()
    assert [str(one.message) for one in seen] == []
