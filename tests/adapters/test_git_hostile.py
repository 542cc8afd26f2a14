"""A repository that wants to run code when it is looked at: fifteen ways, none of which works."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from brainrouter.adapters.git import Change, GitTrouble, changes
from brainrouter.adapters.work_folder import open_folder
from tests.hostile_repos import HARMLESS_ANYWAY, VECTORS, Vector, lazy_ssh, lazy_uploadpack, spring
from tests.repos import git, make_repo


def look(repo: Path) -> Change | None:
    async def run() -> Change | None:
        with open_folder(str(repo), [repo.parent]) as folder:
            return await changes(folder, [repo.parent])

    return asyncio.run(run())


@pytest.fixture
def trap(tmp_path: Path) -> tuple[Path, Path, str]:
    """A repository with a change, the file that must not appear, and the command that makes it."""
    repo = make_repo(tmp_path / "repo", {"a.py": "one\n", "b.py": "two\n"})
    marker = tmp_path / "ran"
    command = tmp_path / "evil.sh"
    command.write_text(f"#!/bin/sh\ntouch {marker}\n")
    command.chmod(0o755)
    return repo, marker, str(command)


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
