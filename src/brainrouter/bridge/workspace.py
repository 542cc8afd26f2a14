"""The folder tree that chats may move in. Every step goes from a held folder to a name in it, and follows no link."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import unicodedata
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

LISTED = 100
_DEPTH = 32
_NEW_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Refused(Exception):
    """A folder that may not be entered or made. The text says why, for the chat."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a folder. `size` is None for folders and links."""

    name: str
    folder: bool
    link: bool
    size: int | None


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder shows: folders first. `more` names were left out, hidden ones not counted."""

    entries: tuple[Entry, ...]
    more: int


class Workspace:
    """Folders are named relative to the root, by parts joined with `/`; the root is the empty text."""

    def __init__(self, root: Path) -> None:
        """Raises Refused when the root is not a folder that can be entered."""
        self.root = Path(os.path.realpath(root))
        try:
            self._fd = os.open(self.root, _OPEN)
        except OSError as error:
            raise Refused(f"the work folder {root} cannot be entered: {error.strerror}") from error

    def close(self) -> None:
        """Let the root go."""
        os.close(self._fd)

    @contextlib.contextmanager
    def entered(self, folder: str) -> Generator[int]:
        """A descriptor of the folder, for as long as the block runs. Raises Refused."""
        fd = os.dup(self._fd)
        try:
            for name in _steps(folder):
                inner = _down(fd, name)
                os.close(fd)
                fd = inner
            yield fd
        finally:
            os.close(fd)

    def moved(self, here: str, to: str) -> str:
        """The folder that `cd to` leads to from `here`. It was there a moment ago. Raises Refused."""
        wanted = to.strip()
        if wanted.startswith(("/", "~", "\\")):
            raise Refused("folders are named from the current one; no path may begin with / or ~")
        steps = _steps(here)
        for name in wanted.split("/"):
            if name == "..":
                if not steps:
                    raise Refused("this is the top of the work folder")
                steps.pop()
            elif name not in ("", "."):
                steps.append(_checked(name))
        if len(steps) > _DEPTH:
            raise Refused("that is too deep")
        folder = "/".join(steps)
        with self.entered(folder):
            return folder

    def listing(self, here: str) -> Listing:
        """The names in a folder, without hidden ones. Raises Refused."""
        with self.entered(here) as fd, os.scandir(fd) as names:
            found = [_entry(item) for item in names if not item.name.startswith(".")]
        found.sort(key=lambda entry: (not entry.folder, entry.name))
        return Listing(tuple(found[:LISTED]), max(0, len(found) - LISTED))

    def make(self, here: str, name: str) -> str:
        """Make one folder in `here` and give its place. Raises Refused."""
        if not _NEW_NAME.fullmatch(name):
            raise Refused("a new folder's name is one word of letters, digits, dot, dash and underscore")
        with self.entered(here) as fd:
            try:
                os.mkdir(name, 0o700, dir_fd=fd)
            except FileExistsError:
                raise Refused(f"{name} is already there") from None
            except OSError as error:
                raise Refused(f"{name} cannot be made: {error.strerror}") from error
        return f"{here}/{name}" if here else name


def shown(name: str) -> str:
    """A name without what would fool a reader: control, direction and invisible characters, and line ends."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c)[0] == "C" else c for c in name)


def _steps(folder: str) -> list[str]:
    return [_checked(name) for name in folder.split("/") if name]


def _checked(name: str) -> str:
    if name.startswith("."):
        raise Refused("hidden folders stay closed")
    if len(name.encode("utf-8", "surrogatepass")) > 255 or any(
        unicodedata.category(c)[0] == "C" for c in name
    ):
        raise Refused("that is no folder's name")
    return name


def _down(fd: int, name: str) -> int:
    try:
        return os.open(name, _OPEN, dir_fd=fd)
    except FileNotFoundError:
        raise Refused(f"there is no folder {shown(name)}") from None
    except OSError as error:
        if stat.S_ISLNK(_mode(fd, name)):
            raise Refused(f"{shown(name)} is a link, and links are not followed") from None
        raise Refused(f"{shown(name)} cannot be entered: {error.strerror}") from error


def _mode(fd: int, name: str) -> int:
    with contextlib.suppress(OSError):
        return os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
    return 0


def _entry(item: os.DirEntry[str]) -> Entry:
    link = item.is_symlink()
    folder = item.is_dir(follow_symlinks=False)
    size: int | None = None
    if not link and not folder:
        with contextlib.suppress(OSError):
            size = item.stat(follow_symlinks=False).st_size
    return Entry(item.name, folder, link, size)
