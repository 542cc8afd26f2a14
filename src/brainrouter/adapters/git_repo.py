"""Where a repository's parts lie, found by reading files: git itself is never started on a foreign configuration."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from brainrouter.adapters.work_folder import Folder

SMALL_MAX_BYTES = 4096
PACKED_REFS_MAX_BYTES = 64 * 1024 * 1024
SYMREFS_MAX = 5
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REF = re.compile(r"refs/[\w./+@#%=-]+")


class GitTrouble(Exception):
    """Why the changes of a repository cannot be had, in words for the caller."""


@dataclass(frozen=True, slots=True)
class Repo:
    """`root` is the work tree; `own` its git folder; `common` the one shared by linked work trees."""

    root: Path
    own: Path
    common: Path


def find_repo(folder: Folder, roots: Sequence[Path]) -> Repo | None:
    """The repository that `folder` lies in, looked for upwards but never above the root that allowed it."""
    allowed = [
        root for root in (Path(os.path.realpath(r)) for r in roots) if folder.path.is_relative_to(root)
    ]
    top = min(allowed, key=lambda root: len(root.parts), default=folder.path)
    at = folder.path
    while True:
        repo = _repo_at(at)
        if repo is not None or at in (top, at.parent):
            return repo
        at = at.parent


def head_of(repo: Repo) -> str | None:
    """The commit that HEAD names; None before the first commit. Raises GitTrouble for what cannot be read."""
    text = read_small(repo.own / "HEAD")
    for _ in range(SYMREFS_MAX):
        if text is None:
            return None
        if _SHA.fullmatch(text):
            return text
        name = text.removeprefix("ref:").strip()
        if not text.startswith("ref:") or not _REF.fullmatch(name) or ".." in name:
            raise GitTrouble("HEAD of the repository cannot be read")
        if name == "refs/heads/.invalid":
            raise GitTrouble("the repository keeps its refs as reftables, which are not supported")
        text = read_small(repo.own / name) or read_small(repo.common / name) or _packed(repo.common, name)
    raise GitTrouble("HEAD of the repository goes in circles")


def read_plain(path: Path, limit: int) -> bytes | None:
    """A regular file's first bytes, or None; a link in its place counts as none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with open(fd, "rb") as file:
        return file.read(limit) if stat.S_ISREG(os.fstat(fd).st_mode) else None


def read_small(path: Path) -> str | None:
    """A short text file, stripped, or None."""
    data = read_plain(path, SMALL_MAX_BYTES)
    return None if data is None else data.decode("utf-8", "replace").strip()


def _repo_at(root: Path) -> Repo | None:
    dot = root / ".git"
    try:
        mode = dot.lstat().st_mode
    except OSError:
        return None
    if stat.S_ISLNK(mode):
        raise GitTrouble(f"{dot} is a link; only a folder or git's own pointer file is followed")
    if stat.S_ISDIR(mode):
        return _checked(Repo(root, dot, dot))
    text = read_small(dot) or ""
    if not text.startswith("gitdir:"):
        raise GitTrouble(f"{dot} is neither a folder nor a pointer to one")
    own = Path(os.path.realpath(root / text.removeprefix("gitdir:").strip()))
    if own.parent.name == "worktrees":
        return _worktree(root, own)
    if _is_submodule(root, own):
        return _checked(Repo(root, own, own))
    raise GitTrouble(f"{dot} points to {own}, which does not point back")


def _worktree(root: Path, own: Path) -> Repo:
    """A linked work tree: its git folder must name it, or it could pull another repository's content in."""
    back = read_small(own / "gitdir")
    common = own.parent.parent
    said = Path(os.path.realpath(own / (read_small(own / "commondir") or "")))
    if back is None or Path(os.path.realpath(own / back)) != root / ".git" or said != common:
        raise GitTrouble(f"{root / '.git'} points to {own}, which does not point back")
    return _checked(Repo(root, own, common))


def _is_submodule(root: Path, own: Path) -> bool:
    return any(own.is_relative_to(parent / ".git" / "modules") for parent in root.parents)


def _checked(repo: Repo) -> Repo:
    for part in (repo.common / "objects", repo.common / "refs", repo.own / "HEAD", repo.own / "index"):
        if part.is_symlink():
            raise GitTrouble(f"{part} is a link, which is not followed")
    if not (repo.common / "objects").is_dir():
        raise GitTrouble(f"{repo.common} is not a git folder")
    return repo


def _packed(common: Path, name: str) -> str | None:
    data = read_plain(common / "packed-refs", PACKED_REFS_MAX_BYTES) or b""
    wanted = b" " + name.encode()
    for line in data.splitlines():
        if line.endswith(wanted):
            sha = line[: -len(wanted)].decode("ascii", "replace")
            return sha if _SHA.fullmatch(sha) else None
    return None
