"""The `.brainrouter.yaml` files of a folder and of those above it: read off the event loop, kept while they stand."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections import OrderedDict
from pathlib import Path
from typing import TypeVar

from brainrouter.brain.project_rules import FILE, ProjectRules, rules_of
from brainrouter.config_tree import read_yaml
from brainrouter.wire.plain_text import sayable

FRESH_S = 1.0  # a folder that was looked at so lately is not looked at again
LOOK_S = 2.0
MAX_BYTES = 64 * 1024
MAX_DEPTH = 64
REMEMBERED = 512

T = TypeVar("T")
Found = tuple[ProjectRules, ...]
_Print = tuple[int, int, int]


class RuleFiles:
    """Use from one event loop. A file that is there and cannot be read comes back with its problem."""

    def __init__(self, home: Path) -> None:
        self._home = os.path.normpath(home)
        self._folders: OrderedDict[str, tuple[float, Found]] = OrderedDict()
        self._files: OrderedDict[str, tuple[_Print, ProjectRules]] = OrderedDict()
        self._looking: dict[str, asyncio.Task[Found]] = {}

    def known(self, folder: str) -> Found | None:
        """The rules for a folder, if it was looked at a moment ago."""
        held = self._folders.get(folder)
        return held[1] if held is not None and time.monotonic() - held[0] < FRESH_S else None

    async def look(self, folder: str) -> Found:
        """The rules for a folder, from the disk. One that does not answer in time counts as a problem.

        Whoever asks while somebody looks waits for the same look.
        """
        looking = self._looking.get(folder)
        if looking is None:
            looking = self._looking[folder] = asyncio.create_task(self._look(folder))
            looking.add_done_callback(lambda _: self._looking.pop(folder))
        return await asyncio.shield(looking)

    async def _look(self, folder: str) -> Found:
        try:
            async with asyncio.timeout(LOOK_S):
                found = await asyncio.to_thread(self.read, folder)
        except TimeoutError:
            return (
                ProjectRules(f"{FILE} of {sayable(folder)}", problem="its folder could not be read in time"),
            )
        _keep(self._folders, folder, (time.monotonic(), found))
        return found

    def read(self, folder: str) -> Found:
        """The same at once: every file from the folder up to the user's home, or to the root outside of it."""
        found: list[ProjectRules] = []
        at = os.path.normpath(folder)
        for _ in range(MAX_DEPTH):
            rules = self._file(os.path.join(at, FILE))
            if rules is not None:
                found.append(rules)
            above = os.path.dirname(at)
            if at == self._home or above == at:
                break
            at = above
        return tuple(found)

    def _file(self, path: str) -> ProjectRules | None:
        try:
            # No link is followed and no FIFO waited for: a repository chose what is here.
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            words = "it is a link" if os.path.islink(path) else error.strerror or str(error)
            # A folder that we may not enter holds nothing that we could be asked about.
            return (
                None
                if isinstance(error, PermissionError) and not os.path.lexists(path)
                else _bad(path, words)
            )
        try:
            state = os.fstat(fd)
            print_ = (state.st_ino, state.st_mtime_ns, state.st_size)
            held = self._files.get(path)
            if held is not None and held[0] == print_:
                return held[1]
            rules = _parsed(path, fd, state)
        except OSError as error:
            return _bad(path, error.strerror or str(error))
        finally:
            os.close(fd)
        _keep(self._files, path, (print_, rules))
        return rules


def _parsed(path: str, fd: int, state: os.stat_result) -> ProjectRules:
    if not stat.S_ISREG(state.st_mode):
        return _bad(path, "it is no regular file")
    if state.st_size > MAX_BYTES:
        return _bad(path, f"it has more than {MAX_BYTES} bytes")
    try:
        return rules_of(read_yaml(os.read(fd, MAX_BYTES).decode()), _place(path))
    except UnicodeDecodeError:
        return _bad(path, "it is not UTF-8 text")
    except ValueError as error:
        return _bad(path, str(error).strip())


def _bad(path: str, problem: str) -> ProjectRules:
    return ProjectRules(_place(path), problem=problem)


def _place(path: str) -> str:
    """The file as it is named to a person: with the folder that it is in."""
    return sayable(os.path.join(os.path.basename(os.path.dirname(path)), FILE))


def _keep(kept: OrderedDict[str, T], key: str, value: T) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > REMEMBERED:
        kept.popitem(last=False)
