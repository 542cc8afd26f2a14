"""A10 and A11: what a repository under review may try."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.attacks.rig import Fort, fort_of
from tests.faults.catalogue import Promise, Row, Trial
from tests.faults.rig import resident_kb
from tests.hostile_repos import VECTORS, lazy_ssh, lazy_uploadpack, spring
from tests.repos import git, make_repo, write

LOOK_S = 10.0
PROMPT_MAX = 250_000


def running_code(trial: Trial) -> None:
    fort = fort_of(trial)
    for run in trial.runs(3):
        for vector in VECTORS:
            name = f"hostile-{vector.__name__}"
            repo = make_repo(fort.daemon.home / name / "repo", {"a.py": "one\n", "b.py": "two\n"})
            spring(vector, repo, str(fort.command))
            fort.marker.unlink(missing_ok=True)  # setting the trap may have sprung it
            found = fort.review(f"{name} {run}", repo)
            trial.hold(Promise.FOREIGN_CODE, not fort.marker.exists(), f"{vector.__name__}: {found}")
            seen = "+one and more" in prompts(fort)
            assert seen or vector in (lazy_ssh, lazy_uploadpack), found  # a missing blob is not fetched
            shutil.rmtree(repo.parent)
            fort.clean()
            trial.tried()
    # The traps are real, the one in the daemon's own environment too: a plain look springs it.
    repo = fort.repository("sprung")
    env = {**os.environ, "GIT_EXTERNAL_DIFF": str(fort.command)}
    subprocess.run(["git", "diff", "HEAD"], cwd=repo, env=env, capture_output=True, check=False)
    assert fort.marker.exists()


def prompts(fort: Fort) -> str:
    """All that the models were told."""
    return "\n".join(request["text"] for request in fort.asked())


def minified(repo: Path) -> None:
    write(repo, {"bundle.js": "x=1;" * 2_000_000})


def binary(repo: Path) -> None:
    (repo / "blob.bin").write_bytes(os.urandom(5_000_000))


def sparse(repo: Path) -> None:
    with (repo / "huge.txt").open("wb") as file:
        file.truncate(2 << 30)


def changed_whole(repo: Path) -> None:
    text = "".join(f"line {number}\n" for number in range(400_000))
    write(repo, {"big.txt": text})
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "big")
    write(repo, {"big.txt": text.replace("line", "row")})


def crowd(repo: Path) -> None:
    for folder in range(200):
        write(repo, {f"d{folder}/f{number}": "x" for number in range(500)})


def deep(repo: Path) -> None:
    at = repo
    for _ in range(300):
        at = at / "d"
        at.mkdir()


def pipes(repo: Path) -> None:
    os.mkfifo(repo / "pipe.py")
    os.symlink("/dev/zero", repo / "zero.py")
    os.symlink("/proc/self/mem", repo / "memory.py")


BOMBS: list[Callable[[Path], None]] = [minified, binary, sparse, changed_whole, crowd, deep, pipes]
QUICK = (minified, sparse, pipes)


def bombs(trial: Trial) -> None:
    fort = fort_of(trial)
    child = fort.daemon.child
    assert child is not None
    slowest, largest, before = 0.0, 0, resident_kb(child.pid)
    for bomb in BOMBS if trial.whole else QUICK:
        repo = fort.repository(f"bomb-{bomb.__name__}")
        bomb(repo)
        started = time.monotonic()
        found = fort.review(bomb.__name__, repo)
        took = time.monotonic() - started
        trial.hold(Promise.HANG, took < 2 * LOOK_S, f"{bomb.__name__}: {took:.1f} s")
        assert found.status in (200, 422), (bomb.__name__, found)
        sizes = [len(request["text"]) for request in fort.asked()]
        assert max(sizes, default=0) < PROMPT_MAX, (bomb.__name__, sizes)
        slowest, largest = max(slowest, took), max([largest, *sizes])
        shutil.rmtree(repo)
        fort.clean()
        trial.tried()
    grown = resident_kb(child.pid) - before
    assert grown < 120_000, f"{grown} KiB more than before"
    trial.figure("slowest", slowest, "s")
    trial.figure("largest prompt", largest, "characters")
    trial.figure("memory", grown / 1024, "MiB")


ROWS = (
    Row("A10", "a repository runs code when it is looked at: 15 ways, and two in the daemon's environment", "nothing runs, and the change is seen all the same", "quick", running_code, 240.0),
    Row("A11", "a repository as a bomb: 2 GiB files, one line of 8 MB, 100,000 files, pipes, devices", "an answer in time, a prompt of bounded size", "quick", bombs, 240.0),
)  # fmt: skip
