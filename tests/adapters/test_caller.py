"""Who is at the other end of a loopback connection."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from brainrouter.adapters.inet_diag import InetDiag, Owner
from brainrouter.adapters.peer import TcpPeers, cwd_of, is_ours, unix_pid

Ends = tuple[str, int, str, int]


@pytest.fixture
def diag() -> Iterator[InetDiag]:
    with contextlib.closing(InetDiag()) as asked:
        yield asked


def owned(diag: InetDiag, ends: Ends) -> Owner:
    found = diag.owner(*ends)
    assert found is not None
    return found


@pytest.fixture(params=["127.0.0.1", "::1"])
def connection(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, Ends]]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.socket(family) as server:
        server.bind((request.param, 0))
        server.listen()
        with socket.create_connection(server.getsockname()[:2]) as client:
            yield client, (*client.getsockname()[:2], *server.getsockname()[:2])


def test_the_kernel_names_the_user_and_the_socket_of_the_other_end(
    connection: tuple[socket.socket, Ends], diag: InetDiag
) -> None:
    client, ends = connection
    found = owned(diag, ends)
    assert (found.uid, found.inode) == (os.getuid(), os.fstat(client.fileno()).st_ino)


def test_a_caller_of_this_user_is_admitted_and_found_with_its_folder(
    connection: tuple[socket.socket, Ends], diag: InetDiag
) -> None:
    _, ends = connection
    found = owned(diag, ends)
    assert is_ours(found)
    peers = TcpPeers()
    assert [peers.pid(found), peers.pid(found)] == [os.getpid(), os.getpid()]
    assert cwd_of(os.getpid()) == os.getcwd()


def test_the_next_connection_of_a_known_caller_is_found_without_a_look(
    connection: tuple[socket.socket, Ends], diag: InetDiag
) -> None:
    client, ends = connection
    first = owned(diag, ends)
    peers = TcpPeers()
    assert peers.near(first) is None
    with contextlib.ExitStack() as stack:
        beyond = 900  # descriptors that are free, side by side
        stack.callback(os.close, os.dup2(client.fileno(), beyond))
        assert peers.pid(first) == os.getpid()
        assert peers.near(first) == os.getpid()
        following = stack.enter_context(socket.create_connection(ends[2:]))
        stack.callback(os.close, os.dup2(following.fileno(), beyond + 1))
        assert peers.near(Owner(os.getuid(), os.fstat(following.fileno()).st_ino)) == os.getpid()
    assert peers.near(Owner(os.getuid(), 1)) is None


def test_a_caller_of_another_user_is_not_admitted() -> None:
    assert not is_ours(Owner(uid=4242, inode=1))
    assert is_ours(None)


def test_a_connection_that_does_not_exist_has_no_owner_and_no_process(
    connection: tuple[socket.socket, Ends], diag: InetDiag
) -> None:
    client, ends = connection
    assert diag.owner("127.0.0.1", 1, "127.0.0.1", 2) is None
    assert diag.owner("not an address", 1, "127.0.0.1", 2) is None
    found = owned(diag, ends)  # the answers before are not taken for this one's
    assert found.inode == os.fstat(client.fileno()).st_ino
    assert TcpPeers().pid(Owner(uid=0, inode=1)) is None


def test_of_many_connections_of_one_process_all_are_found_in_one_look(
    connection: tuple[socket.socket, Ends], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look for each would be a look through all of them for each: 500 harness streams waited 0.7 s for it."""
    _, (_, _, host, port) = connection
    looked: list[str] = []
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: (looked.append(folder), listed(folder))[1])
    with contextlib.ExitStack() as stack:
        many = [stack.enter_context(socket.create_connection((host, port))) for _ in range(50)]
        peers = TcpPeers()
        found = [peers.pid(Owner(os.getuid(), os.fstat(one.fileno()).st_ino)) for one in many]
    assert found == [os.getpid()] * 50
    assert looked.count(f"/proc/{os.getpid()}/fd") == 1


def test_the_pid_at_the_other_end_of_a_unix_socket_is_read_from_the_kernel() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert unix_pid(ours) == os.getpid()


def test_a_process_that_is_gone_has_no_folder() -> None:
    assert cwd_of(2**22 + 1) is None
