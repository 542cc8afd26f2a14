"""Puts a new program in the place of an old one: one named member of an archive, tried before and after, or nothing."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Awaitable, Callable
from pathlib import Path

MEMBER = "llama-swap"
MEMBER_MAX = 300 << 20
Works = Callable[[Path], Awaitable[bool]]


class NotReplaced(Exception):
    """Why the old program is still there."""


def unpacked(archive: Path, to: Path) -> None:
    """Write the archive's one program to `to`, executable. No other member, no link, no path is looked at."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            found = [member for member in tar if member.name in (MEMBER, f"./{MEMBER}")]
            if len(found) != 1 or not found[0].isreg():
                raise NotReplaced(f"the archive does not hold exactly one regular file {MEMBER}")
            if found[0].size > MEMBER_MAX:
                raise NotReplaced(f"{MEMBER} in the archive is larger than {MEMBER_MAX >> 20} MB")
            source = tar.extractfile(found[0])
            assert source is not None
            with source, to.open("xb") as file:
                shutil.copyfileobj(source, file)
                file.flush()
                os.fsync(file.fileno())
    except (tarfile.TarError, EOFError, OSError) as error:
        raise NotReplaced(f"the archive cannot be unpacked: {error}") from error
    to.chmod(0o755)


async def replaced(program: Path, new: Path, works: Works) -> None:
    """Replace `program` by `new`, atomically, keeping the old one beside it; back to the old one if it fails."""
    if not await works(new):
        raise NotReplaced("the new program does not run on this machine; nothing was changed")
    try:
        previous = _exchanged(program, new)
    except OSError as error:
        raise NotReplaced(f"{program} cannot be replaced: {error.strerror}") from error
    if not await works(program):
        _put_back(program, previous, new)
        raise NotReplaced("the new program does not run in its place; the old one is back")


def _exchanged(program: Path, new: Path) -> Path:
    previous = program.with_name(f"{program.name}.previous")
    previous.unlink(missing_ok=True)
    os.link(program, previous)
    new.replace(program)
    return previous


def _put_back(program: Path, previous: Path, spare: Path) -> None:
    shutil.copy2(previous, spare)
    spare.replace(program)
