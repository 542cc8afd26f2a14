"""Scratch repositories for tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ENV = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_ALLOW_PROTOCOL": "file:ext:ssh",
}  # fmt: skip


def git(repo: Path, *arguments: str, check: bool = True) -> str:
    """Run git there, the plain way, as a person would."""
    done = subprocess.run(
        ["git", *arguments], cwd=repo, env=ENV, check=check, capture_output=True, text=True, encoding="utf-8", timeout=30
    )  # fmt: skip
    return done.stdout


def commit(repo: Path, message: str = "x") -> str:
    """Commit everything; gives the commit's name."""
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "--allow-empty", "-m", message)
    return git(repo, "rev-parse", "HEAD").strip()


def make_repo(folder: Path, files: dict[str, str] | None = None, *options: str) -> Path:
    """A repository with one commit of `files`."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main", *options)
    write(folder, {"a.py": "def add(a, b):\n    return a + b\n"} if files is None else files)
    commit(folder)
    return folder


def write(folder: Path, files: dict[str, str]) -> None:
    """Put texts into files, making folders as needed."""
    for name, text in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
