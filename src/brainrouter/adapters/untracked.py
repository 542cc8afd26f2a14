"""The files of a work tree that git does not know yet, read without following a link."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass

from brainrouter.adapters.work_folder import Folder, open_beneath
from brainrouter.wire.secret_shapes import is_secret_file

UNTRACKED_MAX = 200
FILE_MAX_BYTES = 64 * 1024
TOTAL_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Untracked:
    """One file. `text` is None when it is not shown, and `note` says why; with a text, `note` says that it was cut."""

    path: str
    text: str | None
    note: str | None = None


def read_untracked(root: Folder, names: Iterable[str]) -> tuple[tuple[Untracked, ...], bool]:
    """The files, in git's order, and whether all of them were read whole."""
    found: list[Untracked] = []
    left = TOTAL_MAX_BYTES
    whole = True
    for name in names:
        if len(found) >= UNTRACKED_MAX or left <= 0:
            return tuple(found), False
        file = _read(root, name, min(FILE_MAX_BYTES, left))
        left -= len(file.text or "")
        whole = whole and file.note != "cut"
        found.append(file)
    return tuple(found), whole


def _read(root: Folder, name: str, limit: int) -> Untracked:
    shown = name.encode("utf-8", "replace").decode()
    if name.endswith("/"):
        return Untracked(shown, None, "a repository of its own")
    if is_secret_file(name):
        return Untracked(shown, None, "not shown")
    try:
        fd = open_beneath(root.fd, name)
    except OSError as error:
        return Untracked(
            shown, None, "a link" if error.errno in (errno.ELOOP, errno.ENOTDIR) else "cannot be read"
        )
    with open(fd, "rb") as file:
        data = file.read(limit)
        size = os.fstat(fd).st_size
    if b"\0" in data[:8000]:
        return Untracked(shown, None, "binary")
    return Untracked(shown, data.decode("utf-8", "replace"), "cut" if size > len(data) else None)
