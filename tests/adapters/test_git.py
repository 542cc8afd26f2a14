"""What changed: in every kind of repository, within limits, and never out of it."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from pathlib import Path

import pytest

from brainrouter.adapters import git as git_adapter
from brainrouter.adapters.git import Change, GitTrouble, changes
from brainrouter.adapters.work_folder import open_folder
from tests.repos import commit, git, make_repo, write


def look(folder: Path, base: str | None = None, root: Path | None = None) -> Change | None:
    roots = [root or folder.parent]

    async def run() -> Change | None:
        with open_folder(str(folder), roots) as opened:
            return await changes(opened, roots, base)

    return asyncio.run(run())


def seen(folder: Path, base: str | None = None) -> Change:
    found = look(folder, base)
    assert found is not None
    return found


@pytest.mark.parametrize("form", ["sha1", "sha256"])
def test_the_diff_is_that_of_git_itself(tmp_path: Path, form: str):
    repo = make_repo(tmp_path / "repo", {"a.py": "one\n", "ä ö.txt": "x\n"}, f"--object-format={form}")
    write(repo, {"a.py": "two\n", "ä ö.txt": "y\n"})
    git(repo, "add", "a.py")
    found = seen(repo)
    assert found.diff == git(repo, "-c", "core.quotePath=false", "diff", "HEAD")
    assert found.base == git(repo, "rev-parse", "HEAD").strip()
    assert found.whole
    assert not found.clean


def test_untracked_files_are_seen_and_ignored_ones_are_not(tmp_path: Path):
    repo = make_repo(tmp_path / "repo", {".gitignore": "*.log\n", "a.py": "x\n"})
    (repo / ".git" / "info" / "exclude").write_text("private/\n")
    write(repo, {"new/b.py": "print(1)\n", "x.log": "no\n", "private/c.py": "no\n", ".env": "KEY=x\n"})
    (repo / "bin.dat").write_bytes(b"\0\1\2")
    os.symlink("/etc/passwd", repo / "link")
    os.mkfifo(repo / "pipe")
    found = {file.path: file for file in seen(repo).untracked}
    assert found["new/b.py"].text == "print(1)\n"
    assert found[".env"].text is None
    assert found[".env"].note == "not shown"
    assert found["bin.dat"].note == "binary"
    assert found["link"].note == "a link"
    assert found.keys() == {"new/b.py", ".env", "bin.dat", "link"}


def test_before_the_first_commit_everything_is_new(tmp_path: Path):
    repo = tmp_path / "repo"
    repo.mkdir()
    git(repo, "init", "-q")
    write(repo, {"a.py": "one\n", "b.py": "two\n"})
    git(repo, "add", "a.py")
    found = seen(repo)
    assert "+one" in found.diff
    assert [file.path for file in found.untracked] == ["b.py"]


def test_a_clean_tree_shows_its_last_commit(tmp_path: Path):
    repo = make_repo(tmp_path / "repo")
    only = seen(repo)
    assert only.clean
    assert "+def add" in only.diff
    write(repo, {"a.py": "changed\n"})
    commit(repo)
    last = seen(repo)
    assert last.clean
    assert "+changed" in last.diff


def test_commits_made_since_the_base_stay_in_view(tmp_path: Path):
    repo = make_repo(tmp_path / "repo")
    base = git(repo, "rev-parse", "HEAD").strip()
    write(repo, {"a.py": "committed\n"})
    commit(repo)
    write(repo, {"b.py": "loose\n"})
    found = seen(repo, base)
    assert "+committed" in found.diff
    assert [file.path for file in found.untracked] == ["b.py"]
    assert seen(repo, "0" * 40).base != "0" * 40  # a base that is gone is HEAD again


def test_a_linked_work_tree_and_a_submodule_work(tmp_path: Path):
    repo = make_repo(tmp_path / "repo")
    git(repo, "worktree", "add", "-q", str(tmp_path / "linked"), "-b", "other")
    write(tmp_path / "linked", {"a.py": "linked\n"})
    assert "+linked" in seen(tmp_path / "linked").diff
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(repo), "sub")
    write(repo, {"sub/a.py": "in the submodule\n"})
    inner = look(repo / "sub", root=tmp_path)
    assert inner is not None
    assert "+in the submodule" in inner.diff


def test_packed_refs_a_split_index_and_a_shallow_clone_work(tmp_path: Path):
    repo = make_repo(tmp_path / "repo")
    git(repo, "pack-refs", "--all")
    git(repo, "update-index", "--split-index")
    write(repo, {"a.py": "two\n"})
    assert "+two" in seen(repo).diff
    commit(repo)
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repo}", "shallow")
    write(tmp_path / "shallow", {"a.py": "three\n"})
    assert "+three" in seen(tmp_path / "shallow").diff


def test_a_subfolder_belongs_to_its_repository_but_never_above_the_root_that_allows_it(tmp_path: Path):
    repo = make_repo(tmp_path / "repo", {"deep/down/a.py": "one\n"})
    write(repo, {"deep/down/a.py": "two\n"})
    inner = look(repo / "deep" / "down", root=tmp_path)
    assert inner is not None
    assert inner.root == repo
    assert look(repo / "deep" / "down", root=repo / "deep") is None


def test_outside_of_a_repository_there_is_no_change(tmp_path: Path):
    plain = tmp_path / "plain"
    plain.mkdir()
    assert look(plain) is None


def test_a_binary_mark_hides_no_code(tmp_path: Path):
    repo = make_repo(tmp_path / "repo", {"a.py": "one\n", ".gitattributes": "*.py -diff\n"})
    write(repo, {"a.py": "two\n"})
    assert "+two" in seen(repo).diff


def test_a_change_in_the_second_of_the_index_is_seen(tmp_path: Path):
    repo = make_repo(tmp_path / "repo", {"a.py": "one\n"})
    then = time.time() - 100
    os.utime(repo / "a.py", (then, then))
    git(repo, "update-index", "--refresh", check=False)
    os.utime(repo / ".git" / "index", (then, then))
    write(repo, {"a.py": "two\n"})
    os.utime(repo / "a.py", (then, then))
    assert "+two" in seen(repo).diff


def test_the_wide_diff_holds_the_whole_function(tmp_path: Path):
    body = "".join(f"    x{i} = {i}\n" for i in range(30))
    repo = make_repo(tmp_path / "repo", {"a.py": f"def f():\n{body}    return x1\n"})
    write(repo, {"a.py": f"def f():\n{body}    return x2\n"})
    found = seen(repo)
    assert "x3 = 3" not in found.diff
    assert "x3 = 3" in found.wide


def test_the_digest_names_the_state_of_the_code(tmp_path: Path):
    repo = make_repo(tmp_path / "repo")
    write(repo, {"a.py": "x\n"})
    first = seen(repo).digest
    assert seen(repo).digest == first
    write(repo, {"new.py": "y\n"})
    second = seen(repo).digest
    assert second != first
    write(repo, {"new.py": "z\n"})
    assert seen(repo).digest not in (first, second)


@pytest.mark.parametrize("what", ["link", "pointer", "worktree", "common"])
def test_a_pointer_to_another_repository_is_refused(tmp_path: Path, what: str):
    secret = make_repo(tmp_path / "secret", {"secret.txt": "hidden words\n"})
    trick = tmp_path / "trick"
    trick.mkdir()
    if what == "link":
        os.symlink(secret / ".git", trick / ".git")
    elif what == "pointer":
        write(trick, {".git": f"gitdir: {secret / '.git'}\n"})
    else:
        own = trick / "fake" / "worktrees" / "w"
        back = trick / ".git" if what == "common" else secret / ".git"
        write(
            own,
            {"gitdir": f"{back}\n", "commondir": f"{secret / '.git'}\n", "HEAD": "ref: refs/heads/main\n"},
        )
        write(trick, {".git": f"gitdir: {own}\n"})
    with pytest.raises(GitTrouble):
        look(trick)


def test_nothing_of_the_repository_is_changed_and_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    repo = make_repo(tmp_path / "repo")
    write(repo, {"a.py": "two\n", "new.py": "x\n"})
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))

    def state() -> dict[str, tuple[int, int]]:
        files = [path for path in repo.rglob("*") if path.is_file()]
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in files}

    before = state()
    seen(repo)
    assert state() == before
    assert list(scratch.iterdir()) == []


def test_variables_that_steer_git_do_not_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    repo = make_repo(tmp_path / "repo")
    other = make_repo(tmp_path / "other", {"b.py": "other\n"})
    write(repo, {"a.py": "two\n"})
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "/bin/false")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nonexistent")
    assert "+two" in seen(repo).diff


def test_a_bomb_is_cut_in_size_and_said_to_be(tmp_path: Path):
    repo = make_repo(tmp_path / "repo", {"big.txt": "x\n"})
    (repo / "big.txt").write_text("a line of text\n" * 400_000)
    with (repo / "huge.bin").open("wb") as hole:
        hole.truncate(2 * 1024**3)
    for index in range(400):
        (repo / f"many{index}.txt").write_text("x")
    started = time.monotonic()
    found = seen(repo)
    assert time.monotonic() - started < 10
    assert not found.whole
    assert len(found.diff) <= git_adapter.DIFF_MAX_BYTES
    assert len(found.untracked) <= 201
    assert found.notes


def test_git_that_takes_too_long_is_killed_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    repo = make_repo(tmp_path / "repo")
    slow = tmp_path / "bin" / "git"
    write(slow.parent, {"git": f"#!/bin/sh\nsleep 1000 &\necho $! > {tmp_path}/child\nwait\n"})
    slow.chmod(slow.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(git_adapter, "TIME_S", 0.5)
    with pytest.raises(GitTrouble, match="took longer"):
        look(repo)
    child = int((tmp_path / "child").read_text())
    until = time.monotonic() + 5
    while Path(f"/proc/{child}").exists() and "Z" not in _state(child) and time.monotonic() < until:
        os.sched_yield()
    assert not Path(f"/proc/{child}").exists() or "Z" in _state(child)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"
