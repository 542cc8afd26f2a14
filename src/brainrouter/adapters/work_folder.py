"""A folder that may be looked into: resolved once, held open, read without following a link out of it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

PATH_MAX_CHARS = 4096
_NO_PLACE = ("/proc", "/sys", "/dev")
_F_GETPATH = 50  # fcntl(2) on macOS; Python names it only there


class NotAllowed(Exception):
    """Why a folder may not be looked into, in words for the caller."""


class Folder:
    """An open folder. Close it, or use it in a `with`."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.fd = fd

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back. Safe to call twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @property
    def for_child(self) -> str:
        """A path by which a child process enters exactly this folder, whatever was put in its place since."""
        return f"/proc/self/fd/{self.fd}" if sys.platform == "linux" else str(self.path)

    def read(self, name: str, limit: int) -> bytes | None:
        """At most `limit` bytes of a regular file below, or None when there is none; no link is followed."""
        try:
            with open(open_beneath(self.fd, name), "rb") as file:
                return file.read(limit)
        except OSError:
            return None


def open_folder(asked: str, roots: Iterable[Path]) -> Folder:
    """Open `asked` when it is a folder of this user's below one of `roots`. Raises NotAllowed with the reason."""
    _check_words(asked)
    try:
        real = Path(os.path.realpath(asked))
    except OSError as error:  # a link of another user's process, for one
        raise NotAllowed(f"{asked} cannot be followed: {error.strerror}") from None
    homes = [Path(os.path.realpath(root)) for root in roots]
    if not any(real.is_relative_to(home) for home in homes):
        raise NotAllowed(
            f"{real} is outside your home folder and the caller's own folder; "
            "name it in `review.roots` of the configuration to allow it"
        )
    try:
        fd = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError:
        raise NotAllowed(f"{real} is not a folder") from None
    except OSError as error:
        raise NotAllowed(f"{real} cannot be opened: {error.strerror}") from None
    folder = Folder(real, fd)
    try:
        # A component may have been swapped between resolving and opening: what counts is what was opened.
        if _path_of(fd) != str(real):
            raise NotAllowed(f"{asked} changed while it was looked at")
        if os.fstat(fd).st_uid != os.getuid():
            raise NotAllowed(f"{real} belongs to another user")
    except BaseException:
        folder.close()
        raise
    return folder


def open_beneath(root: int, name: str) -> int:
    """A descriptor of the regular file `name` below the folder `root`; every step refuses links. Raises OSError."""
    parts = name.split("/")
    if not name or any(part in ("", ".", "..") for part in parts):
        raise OSError(errno.EINVAL, "not a plain relative path", name)
    at = os.dup(root)
    try:
        for part in parts[:-1]:
            deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = deeper
        # Without O_NONBLOCK a FIFO put there would hold us for ever.
        fd = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", name)
    return fd


def _check_words(asked: str) -> None:
    if len(asked) > PATH_MAX_CHARS:
        raise NotAllowed(f"a path has at most {PATH_MAX_CHARS} characters")
    if not asked.isprintable():
        raise NotAllowed("the path holds control characters")
    if not asked.startswith("/"):
        raise NotAllowed(f"{asked!r} is not an absolute path")
    if ".." in asked.split("/"):
        raise NotAllowed("the path holds `..`")
    plain = os.path.normpath(f"/{asked.lstrip('/')}")  # two slashes at the start would stay two
    if any(plain == place or plain.startswith(f"{place}/") for place in _NO_PLACE):
        raise NotAllowed(f"{plain} is not a project folder")


def _path_of(fd: int) -> str | None:
    with contextlib.suppress(OSError):
        if sys.platform == "linux":
            return os.readlink(f"/proc/self/fd/{fd}")
        return fcntl.fcntl(fd, _F_GETPATH, bytes(1024)).rstrip(b"\0").decode()
    return None
