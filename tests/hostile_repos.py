"""Repositories that want to run a command when they are looked at: fifteen ways."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.repos import commit, git, make_repo, write

Vector = Callable[[Path, str], None]


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


def spring(vector: Vector, repo: Path, command: str) -> None:
    """Set the trap in `repo`, and change something there."""
    vector(repo, command)
    write(repo, {"a.py": "one and more\n", "fresh.py": "new\n"})
