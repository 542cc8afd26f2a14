"""Whether files are still the ones that were seen: inode, size and time of the last change of each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

Marks = tuple[tuple[int, int, int] | None, ...]


def marks(files: Iterable[Path]) -> Marks:
    """One mark for each file, None for one that is not there or may not be looked at."""
    return tuple(_mark(file) for file in files)


def _mark(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
