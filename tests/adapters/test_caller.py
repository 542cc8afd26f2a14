"""Who is at the other end of a loopback connection."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from brainrouter.adapters.inet_diag import Owner, owner
from brainrouter.adapters.peer import TcpPeers, cwd_of, is_ours, unix_pid

Ends = tuple[str, int, str, int]


@pytest.fixture(params=["127.0.0.1", "::1"])
def connection(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, Ends]]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.socket(family) as server:
        server.bind((request.param, 0))
        server.listen()
        with socket.create_connection(server.getsockname()[:2]) as client:
            yield client, (*client.getsockname()[:2], *server.getsockname()[:2])


def test_the_kernel_names_the_user_and_the_socket_of_the_other_end(
    connection: tuple[socket.socket, Ends],
) -> None:
    client, ends = connection
    found = owner(*ends)
    assert found is not None
    assert (found.uid, found.inode) == (os.getuid(), os.fstat(client.fileno()).st_ino)


def test_a_caller_of_this_user_is_admitted_and_found_with_its_folder(
    connection: tuple[socket.socket, Ends],
) -> None:
    _, ends = connection
    found = owner(*ends)
    assert found is not None
    assert is_ours(found)
    peers = TcpPeers()
    assert [peers.pid(found), peers.pid(found)] == [os.getpid(), os.getpid()]
    assert cwd_of(os.getpid()) == os.getcwd()


def test_a_caller_of_another_user_is_not_admitted() -> None:
    assert not is_ours(Owner(uid=4242, inode=1))
    assert is_ours(None)


def test_a_connection_that_does_not_exist_has_no_owner_and_no_process() -> None:
    assert owner("127.0.0.1", 1, "127.0.0.1", 2) is None
    assert owner("not an address", 1, "127.0.0.1", 2) is None
    assert TcpPeers().pid(Owner(uid=0, inode=1)) is None


def test_the_pid_at_the_other_end_of_a_unix_socket_is_read_from_the_kernel() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert unix_pid(ours) == os.getpid()


def test_a_process_that_is_gone_has_no_folder() -> None:
    assert cwd_of(2**22 + 1) is None
