"""The sockets we listen on: TCP, and a Unix socket that is ours alone. One daemon a user."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BACKLOG = 2048
UNIX_PATH_MAX_BYTES = 107
PORTS_TRIED = 20


class CannotListen(Exception):
    """Why we cannot listen, in words for the user."""


@dataclass(slots=True)
class Listening:
    """Bound sockets and the lock that makes us the only daemon. `close` gives everything back."""

    tcp: socket.socket
    unix: socket.socket
    path: Path
    lock: int

    @property
    def port(self) -> int:
        return self.tcp.getsockname()[1]

    def close(self) -> None:
        """Close both sockets and remove what we made on disk. Safe to call twice."""
        self.tcp.close()
        self.unix.close()
        if self.lock >= 0:
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
            with contextlib.suppress(FileNotFoundError):
                port_file(self.path).unlink()
            os.close(self.lock)
            self.lock = -1


def runtime_dir(env: Mapping[str, str]) -> Path:
    """Where the socket lives: $XDG_RUNTIME_DIR, /run/user/UID, or a private folder in the temporary directory."""
    named = env.get("XDG_RUNTIME_DIR")
    if named:
        return Path(named)
    usual = Path(f"/run/user/{os.getuid()}")
    if usual.is_dir():
        return usual
    return Path(env.get("TMPDIR") or tempfile.gettempdir()) / f"brainrouter-{os.getuid()}"


def default_socket(env: Mapping[str, str]) -> Path:
    return runtime_dir(env) / "brainrouter.sock"


def port_file(socket_path: Path) -> Path:
    """The file beside the socket in which the daemon writes its TCP port."""
    return socket_path.with_suffix(".port")


def listen(host: str, port: int, path: Path, *, any_port: bool) -> Listening:
    """Bind both sockets. Raises CannotListen. With `any_port`, the next free port stands in for one that is held."""
    lock = _lock(path)
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, lock)
        tcp = undo.enter_context(_bind_tcp(host, port, any_port=any_port))
        unix = undo.enter_context(_bind_unix(path))
        undo.callback(path.unlink)
        _publish(port_file(path), tcp.getsockname()[1])
        undo.pop_all()
    return Listening(tcp, unix, path, lock)


def _publish(file: Path, port: int) -> None:
    """Write the port file anew, never through a link that somebody laid there."""
    try:
        file.unlink(missing_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "w") as out:
            out.write(f"{port}\n")
    except OSError as error:
        raise CannotListen(f"cannot write {file}: {error.strerror}") from error


def _lock(path: Path) -> int:
    if len(os.fsencode(path)) > UNIX_PATH_MAX_BYTES:
        raise CannotListen(f"the socket path is longer than {UNIX_PATH_MAX_BYTES} bytes: {path}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_foreign_folder(path.parent)
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise CannotListen(f"cannot use {path.parent} for the socket: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(lock, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise CannotListen(f"brainrouter already runs for this user (pid {holder}, socket {path})") from None
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def _refuse_foreign_folder(folder: Path) -> None:
    found = folder.stat()
    if found.st_uid not in (os.getuid(), 0):
        raise CannotListen(f"{folder} belongs to another user")
    # Where anybody may write, anybody could put a socket of their own in our place; not where names are their owners'.
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise CannotListen(f"anybody may write in {folder}: chmod 700 {folder}, or choose another --socket")


def _bind_unix(path: Path) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise CannotListen(
                f"{path} is there already and is no socket; move it away or choose another --socket"
            )
        path.unlink()  # stale: we hold the lock, so nobody serves on it
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        unix.bind(os.fspath(path))
    except OSError as error:
        unix.close()
        raise CannotListen(f"cannot bind {path}: {error.strerror}") from error
    finally:
        os.umask(before)
    unix.listen(BACKLOG)
    unix.setblocking(False)
    return unix


def _bind_tcp(host: str, port: int, *, any_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in range(port, port + PORTS_TRIED) if any_port and port else (port,):
        tcp = socket.socket(family, socket.SOCK_STREAM)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tcp.bind((host, candidate))
            tcp.listen(BACKLOG)
        except OSError as error:
            tcp.close()
            if error.errno == errno.EADDRINUSE and any_port and port:
                continue
            raise CannotListen(f"cannot listen on {host}:{candidate}: {error.strerror}") from error
        tcp.setblocking(False)
        return tcp
    raise CannotListen(f"ports {port} to {port + PORTS_TRIED - 1} on {host} are all taken")
