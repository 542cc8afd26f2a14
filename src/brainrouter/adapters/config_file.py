"""Another program's configuration file: read with suspicion, replaced whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 8 * 1024 * 1024


class Refused(Exception):
    """Why a file is left alone, in words for the user."""


@dataclass(frozen=True, slots=True)
class Held:
    """A file as it was read: `path` as the user knows it, `real` behind its links. No text: it is not there."""

    path: Path
    real: Path
    text: str | None
    mode: int = 0o600


def read(path: Path, root: Path) -> Held:
    """Read a file that must be ours and stay below `root`. Raises Refused; a file that is not there is no error."""
    real = _real(path, root)
    try:
        found = real.stat(follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            raise Refused(f"{path} is no ordinary file")
        if found.st_uid != os.getuid():
            raise Refused(f"{path} belongs to another user")
        if found.st_nlink > 1:
            raise Refused(f"{path} has a second name (a hard link), which replacing it would cut off")
        if not found.st_mode & stat.S_IWUSR:
            raise Refused(f"{path} is read-only; make it writable first: chmod u+w {path}")
        if found.st_size > MAX_BYTES:
            raise Refused(f"{path} is larger than {MAX_BYTES // 2**20} MiB, which no configuration is")
        data = real.read_bytes()
    except FileNotFoundError:
        return Held(path, real, None)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from error
    try:
        return Held(path, real, data.decode("utf-8"), stat.S_IMODE(found.st_mode))
    except UnicodeDecodeError as error:
        raise Refused(f"{path} is not UTF-8 text (byte {error.start})") from error


def replace(held: Held, text: str | None) -> None:
    """Give the file a new text (None: remove it), if it is still as it was read. Raises Refused.

    A reader sees the old file or the new one. Mode and links are kept; missing folders are made.
    """
    if _now(held.real) != held.text:
        raise Refused(
            f"{held.path} was changed by another program in the meantime; nothing was written to it"
        )
    try:
        if text is None:
            held.real.unlink(missing_ok=True)
        else:
            _write(held, text)
    except OSError as error:
        raise Refused(f"{held.path} cannot be written: {error.strerror}") from error


def missing_folders(path: Path) -> list[Path]:
    """The folders that writing to `path` would make, outermost last."""
    missing: list[Path] = []
    for folder in path.parents:
        if folder.exists():
            break
        missing.append(folder)
    return missing


def remove_empty(folders: list[Path]) -> None:
    """Remove those of the folders that are empty, innermost first."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _real(path: Path, root: Path) -> Path:
    try:
        real, inside = path.resolve(), root.resolve()
    except (OSError, RuntimeError) as error:
        raise Refused(f"{path} cannot be followed: {error}") from error
    if not real.is_relative_to(inside):
        raise Refused(f"{path} leads out of {root}, to {real}; it is somebody else's to edit")
    if path.is_symlink() and not real.exists():
        raise Refused(f"{path} is a link to {real}, which is not there")
    return real


def _now(real: Path) -> str | None:
    try:
        return real.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refused(f"{real} cannot be read: {error.strerror}") from error


def _write(held: Held, text: str) -> None:
    folder = held.real.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{held.real.name}.", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), held.mode)
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(held.real)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
