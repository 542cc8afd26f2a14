"""The sockets: ours alone, one daemon a user, nothing of others touched."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from brainrouter.adapters.listen import CannotListen, default_socket, listen, port_file, runtime_dir


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    made = Path(tempfile.mkdtemp(prefix="br-"))
    yield made
    shutil.rmtree(made)


def test_both_sockets_are_bound_and_everything_is_given_back(folder: Path) -> None:
    path = folder / "run" / "s.sock"
    listening = listen("127.0.0.1", 0, path, any_port=False)
    try:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert port_file(path).read_text() == f"{listening.port}\n"
        socket.create_connection(("127.0.0.1", listening.port)).close()
    finally:
        listening.close()
    listening.close()
    assert [file.name for file in path.parent.iterdir()] == ["s.sock.lock"]
    listen("127.0.0.1", 0, path, any_port=False).close()


def test_of_two_the_second_is_refused_by_the_firsts_pid(folder: Path) -> None:
    path = folder / "s.sock"
    first = listen("127.0.0.1", 0, path, any_port=False)
    with pytest.raises(CannotListen, match=rf"already runs for this user \(pid {os.getpid()}, "):
        listen("127.0.0.1", 0, path, any_port=False)
    assert path.exists()
    first.close()


def test_a_stale_socket_and_port_file_are_replaced(folder: Path) -> None:
    path = folder / "s.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    port_file(path).write_text("1\n")
    listening = listen("127.0.0.1", 0, path, any_port=False)
    assert port_file(path).read_text() == f"{listening.port}\n"
    listening.close()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_left_alone(folder: Path, kind: str) -> None:
    path = folder / "s.sock"
    if kind == "folder":
        path.mkdir()
    else:
        (folder / "precious").write_text("precious")
        path.symlink_to(folder / "precious") if kind == "link" else path.write_text("precious")
    with pytest.raises(CannotListen, match="is no socket"):
        listen("127.0.0.1", 0, path, any_port=False)
    assert path.is_dir() or path.read_text() == "precious"
    if kind != "folder":
        path.unlink()
        listen("127.0.0.1", 0, path, any_port=False).close()


def test_a_port_file_that_is_a_link_is_replaced_and_never_followed(folder: Path) -> None:
    path = folder / "s.sock"
    (folder / "precious").write_text("precious")
    port_file(path).symlink_to(folder / "precious")
    listen("127.0.0.1", 0, path, any_port=False).close()
    assert (folder / "precious").read_text() == "precious"


def test_a_port_file_that_cannot_be_written_is_told_in_words_and_leaves_no_socket(folder: Path) -> None:
    path = folder / "s.sock"
    port_file(path).mkdir()
    with pytest.raises(CannotListen, match=r"cannot write .*s\.port"):
        listen("127.0.0.1", 0, path, any_port=False)
    assert not path.exists()


def test_a_lock_that_is_a_link_is_not_followed(folder: Path) -> None:
    (folder / "s.sock.lock").symlink_to(folder / "elsewhere")
    with pytest.raises(CannotListen, match="cannot use"):
        listen("127.0.0.1", 0, folder / "s.sock", any_port=False)
    assert not (folder / "elsewhere").exists()


def test_a_path_no_socket_can_have_is_refused(folder: Path) -> None:
    with pytest.raises(CannotListen, match="longer than 107 bytes"):
        listen("127.0.0.1", 0, folder / ("ü" * 60), any_port=False)


def test_a_folder_that_cannot_be_made_is_told_in_words(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(CannotListen, match="cannot use"):
        listen("127.0.0.1", 0, folder / "file" / "s.sock", any_port=False)


def test_a_taken_port_is_refused_or_passed_over_as_wanted(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1:{port}"):
            listen("127.0.0.1", port, folder / "s.sock", any_port=False)
        assert not (folder / "s.sock").exists()
        listening = listen("127.0.0.1", port, folder / "s.sock", any_port=True)
        assert port < listening.port < port + 20
        listening.close()


def test_the_runtime_folder_is_what_the_environment_says(tmp_path: Path) -> None:
    assert default_socket({"XDG_RUNTIME_DIR": "/x"}) == Path("/x/brainrouter.sock")
    assert str(os.getuid()) in str(runtime_dir({"TMPDIR": str(tmp_path)}))


def test_a_folder_where_anybody_may_write_is_refused_unless_names_stay_their_owners(folder: Path) -> None:
    folder.chmod(0o777)
    with pytest.raises(CannotListen, match="chmod 700"):
        listen("127.0.0.1", 0, folder / "b.sock", any_port=False)
    folder.chmod(0o1777)
    listen("127.0.0.1", 0, folder / "b.sock", any_port=False).close()
