"""A repository that wants to run code when it is looked at: fifteen ways, none of which works."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from brainrouter.adapters.git import Change, GitTrouble, changes
from brainrouter.adapters.work_folder import open_folder
from tests.repos import commit, git, make_repo, write

Vector = Callable[[Path, str], None]


def look(repo: Path) -> Change | None:
    async def run() -> Change | None:
        with open_folder(str(repo), [repo.parent]) as folder:
            return await changes(folder, [repo.parent])

    return asyncio.run(run())


def attributes(repo: Path, text: str) -> None:
    write(repo, {".gitattributes": text})


def textconv(repo: Path, run: str) -> None:
    attributes(repo, "* diff=evil\n")
    git(repo, "config", "diff.evil.textconv", run)


def diff_external(repo: Path, run: str) -> None:
    git(repo, "config", "diff.external", run)


def diff_driver(repo: Path, run: str) -> None:
    attributes(repo, "* diff=evil\n")
    git(repo, "config", "diff.evil.command", run)


def included(repo: Path, run: str) -> None:
    write(repo, {"more.cfg": f'[diff]\n\texternal = "{run}"\n'})
    git(repo, "config", "include.path", str(repo / "more.cfg"))


def fsmonitor(repo: Path, run: str) -> None:
    git(repo, "config", "core.fsmonitor", run)


def filter_clean(repo: Path, run: str) -> None:
    attributes(repo, "* filter=evil\n")
    git(repo, "config", "filter.evil.clean", f"{run}; cat")


def filter_process(repo: Path, run: str) -> None:
    attributes(repo, "* filter=evil\n")
    git(repo, "config", "filter.evil.process", run)
    git(repo, "config", "filter.evil.required", "true")


def submodule(repo: Path, run: str) -> None:
    inner = make_repo(repo.parent / "inner")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    commit(repo)
    git(repo / "sub", "config", "core.fsmonitor", run)
    write(repo, {"sub/a.py": "changed\n"})


def embedded(repo: Path, run: str) -> None:
    make_repo(repo / "nested")
    git(repo, "add", "nested", check=False)
    git(repo, "commit", "-q", "-m", "nested")
    git(repo / "nested", "config", "core.fsmonitor", run)
    write(repo, {"nested/a.py": "changed\n"})


def lazy(repo: Path, kind: str, value: str) -> None:
    """A blob that is missing and would be fetched from a `promisor` remote."""
    git(repo, "config", "extensions.partialClone", "origin")
    git(repo, "config", "core.repositoryFormatVersion", "1")
    git(repo, "config", "remote.origin.promisor", "true")
    git(repo, "config", kind, value)
    blob = git(repo, "rev-parse", "HEAD:a.py").strip()
    (repo / ".git" / "objects" / blob[:2] / blob[2:]).unlink()


def lazy_ssh(repo: Path, run: str) -> None:
    git(repo, "config", "remote.origin.url", "ssh://nowhere.invalid/x")
    lazy(repo, "core.sshCommand", run)


def lazy_uploadpack(repo: Path, run: str) -> None:
    git(repo, "config", "remote.origin.url", f"file://{repo}")
    lazy(repo, "remote.origin.uploadpack", run)


def index_hook(repo: Path, run: str) -> None:
    hook = repo / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{run}\n")
    hook.chmod(0o755)
    os.utime(repo / "b.py", (1, 1))  # so that the index wants to be refreshed


def hooks_path(repo: Path, run: str) -> None:
    write(repo, {"hooks/post-index-change": f"#!/bin/sh\n{run}\n"})
    (repo / "hooks" / "post-index-change").chmod(0o755)
    git(repo, "config", "core.hooksPath", "hooks")
    os.utime(repo / "b.py", (1, 1))


def pager(repo: Path, run: str) -> None:
    git(repo, "config", "core.pager", run)
    git(repo, "config", "pager.diff", run)


def alias(repo: Path, run: str) -> None:
    git(repo, "config", "alias.diff", f"!{run}")
    git(repo, "config", "alias.ls-files", f"!{run}")


VECTORS: list[Vector] = [
    textconv, diff_external, diff_driver, included, fsmonitor, filter_clean, filter_process, submodule, embedded,
    lazy_ssh, lazy_uploadpack, index_hook, hooks_path, pager, alias,
]  # fmt: skip
# Git itself runs nothing here without a terminal, or refuses to alias its own commands.
HARMLESS_ANYWAY = {pager, alias}


@pytest.fixture
def trap(tmp_path: Path) -> tuple[Path, Path, str]:
    """A repository with a change, the file that must not appear, and the command that makes it."""
    repo = make_repo(tmp_path / "repo", {"a.py": "one\n", "b.py": "two\n"})
    marker = tmp_path / "ran"
    command = tmp_path / "evil.sh"
    command.write_text(f"#!/bin/sh\ntouch {marker}\n")
    command.chmod(0o755)
    return repo, marker, str(command)


def spring(vector: Vector, repo: Path, command: str) -> None:
    vector(repo, command)
    write(repo, {"a.py": "one and more\n", "fresh.py": "new\n"})


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.__name__)
def test_looking_at_a_hostile_repository_runs_nothing(vector: Vector, trap: tuple[Path, Path, str]):
    repo, marker, command = trap
    spring(vector, repo, command)
    marker.unlink(missing_ok=True)  # setting it up may have run it
    try:
        found = look(repo)
    except GitTrouble:
        found = None  # a missing blob cannot be shown, and is not fetched
        assert vector in (lazy_ssh, lazy_uploadpack)
    assert not marker.exists()
    if found is not None:
        assert "+one and more" in found.diff
        assert "fresh.py" in [file.path for file in found.untracked]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.__name__)
def test_the_traps_are_real(vector: Vector, trap: tuple[Path, Path, str]):
    """The same repositories under a plain `git diff HEAD`: without this, the test above could not fail."""
    repo, marker, command = trap
    spring(vector, repo, command)
    marker.unlink(missing_ok=True)
    git(repo, "diff", "HEAD", check=False)
    git(repo, "status", check=False)
    assert marker.exists() == (vector not in HARMLESS_ANYWAY)
