"""What changed in a repository that is not to be trusted.

The diff is made in a private git folder with a configuration of our own, a copy of the index and the repository's
objects as alternates: nothing that the repository configures (filters, drivers, hooks, monitors, fetches) is known to
the git that runs, so nothing of it is started. Untracked files are read by us, without following links.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from brainrouter.adapters.child_process import kill_group
from brainrouter.adapters.git_repo import GitTrouble, Repo, find_repo, head_of, read_plain
from brainrouter.adapters.untracked import UNTRACKED_MAX, Untracked, read_untracked
from brainrouter.adapters.work_folder import Folder, open_folder

__all__ = ["Change", "GitTrouble", "changes"]

TIME_S = 10.0
DIFF_MAX_BYTES = 2 * 1024 * 1024
NAMES_MAX_BYTES = 1024 * 1024
INDEX_MAX_BYTES = 256 * 1024 * 1024
SMALL_MAX_BYTES = 64 * 1024
_EMPTY_TREE = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
# Settings that change how files compare and cannot start anything; each with the values that are taken over.
_HARMLESS = {
    "core.autocrlf": ("true", "false", "input"),
    "core.eol": ("lf", "crlf", "native"),
    "core.filemode": ("true", "false"),
    "core.ignorecase": ("true", "false"),
    "core.precomposeunicode": ("true", "false"),
    "core.symlinks": ("true", "false"),
}
# Over every .gitattributes: no driver, no filter, nothing hidden as binary; git's own patterns for functions.
_ATTRIBUTES = "* !diff !filter !textconv !working-tree-encoding -ident\n" + "".join(
    f"*.{suffix} diff={driver}\n"
    for driver, suffixes in {
        "python": "py pyi", "rust": "rs", "golang": "go", "java": "java", "kotlin": "kt kts", "ruby": "rb",
        "php": "php", "csharp": "cs", "cpp": "c cc cpp cxx h hh hpp", "bash": "sh bash", "perl": "pl pm",
        "elixir": "ex exs", "css": "css", "ada": "adb ads", "scheme": "scm",
    }.items()
    for suffix in suffixes.split()
)  # fmt: skip
_DIFF = (
    "diff", "--no-ext-diff", "--no-textconv", "--ignore-submodules=all", "--no-color", "--find-renames",
    "--no-relative", "--src-prefix=a/", "--dst-prefix=b/",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """What the work tree holds that `base` does not.

    `wide` is the same with the whole functions around each change. `whole` is false when a limit cut something.
    `clean` says that nothing was uncommitted, so the last commit is shown. `digest` names this state of the code.
    """

    root: Path
    base: str
    diff: str
    wide: str
    untracked: tuple[Untracked, ...]
    digest: str
    whole: bool
    clean: bool
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Runner:
    """Starts git with one deadline for all of it."""

    git: str
    deadline: float
    env: dict[str, str] = field(default_factory=dict[str, str])

    async def __call__(
        self, *arguments: str, cwd: Folder | Path, limit: int = SMALL_MAX_BYTES
    ) -> tuple[int, bytes, bool]:
        """Exit code, output, and whether the output is whole. Over the limit or the time, the group is killed."""
        child = await asyncio.create_subprocess_exec(
            self.git, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, start_new_session=True, env=self.env,
            cwd=cwd.for_child if isinstance(cwd, Folder) else cwd,
        )  # fmt: skip
        assert child.stdout is not None
        said = bytearray()
        try:
            async with asyncio.timeout_at(self.deadline):
                while len(said) <= limit and (piece := await child.stdout.read(65_536)):
                    said += piece
                if len(said) <= limit:
                    return await child.wait(), bytes(said), True
        except TimeoutError:
            raise GitTrouble(f"git took longer than {TIME_S:g} s") from None
        finally:
            await kill_group(child)
        return 0, bytes(said[:limit]), False


async def changes(folder: Folder, roots: Sequence[Path], base: str | None = None) -> Change | None:
    """What changed since `base` (a commit; the default is HEAD). None outside a repository; raises GitTrouble."""
    git = shutil.which("git")
    if git is None:
        raise GitTrouble("git is not installed")
    repo = find_repo(folder, roots)
    if repo is None:
        return None
    run = _Runner(git, asyncio.get_running_loop().time() + TIME_S)
    private = Path(tempfile.mkdtemp(prefix="brainrouter-git-"))
    try:
        with open_folder(str(repo.root), [repo.root]) as root:
            return await _changes(run, repo, root, private, base)
    finally:
        shutil.rmtree(private, ignore_errors=True)


async def _changes(run: _Runner, repo: Repo, root: Folder, private: Path, base: str | None) -> Change:
    run.env = _environment(private)
    kept = await _harmless(run, repo, private)
    head = head_of(repo)
    await asyncio.to_thread(_lay_out, private, repo, head, kept)
    empty = _EMPTY_TREE[kept.get("extensions.objectformat", "sha1")]
    if base is not None:
        known, _, _ = await run("cat-file", "-e", f"{base}^{{tree}}", cwd=root)
        base = base if known == 0 else None
    start = base or head or empty
    diff, whole = await _diff(run, root, start)
    names, all_named = await _others(run, root)
    clean = not diff and not names and base is None and head is not None
    if clean:
        code, said, _ = await run("rev-parse", "--verify", "--quiet", "HEAD^1^{commit}", cwd=root)
        start = said.decode("ascii", "replace").strip() if code == 0 else empty
        diff, whole = await _diff(run, root, start)
    wide, wide_whole = await _diff(run, root, start, "--function-context")
    untracked, all_read = await asyncio.to_thread(read_untracked, root, names)
    digest = hashlib.sha256(diff.encode())
    for file in untracked:
        digest.update(b"\0" + file.path.encode() + b"\0" + (file.text or file.note or "").encode())
    everything = whole and all_named and all_read
    notes = () if everything else ("the change is larger than what is reviewed; the rest was cut",)
    return Change(
        repo.root,
        start,
        diff,
        wide if wide_whole else diff,
        untracked,
        digest.hexdigest(),
        everything,
        clean,
        notes,
    )


async def _diff(run: _Runner, root: Folder, start: str, *more: str) -> tuple[str, bool]:
    code, said, whole = await run(
        "-c", "core.quotePath=false", *_DIFF, *more, start, "--", cwd=root, limit=DIFF_MAX_BYTES
    )
    if code != 0:
        raise GitTrouble("git could not compare the work tree; is the repository damaged?")
    return said.decode("utf-8", "replace"), whole


async def _others(run: _Runner, root: Folder) -> tuple[list[str], bool]:
    code, said, whole = await run(
        "ls-files", "--others", "--exclude-standard", "-z", cwd=root, limit=NAMES_MAX_BYTES
    )
    if code != 0:
        raise GitTrouble("git could not list the untracked files")
    names = [os.fsdecode(name) for name in said.split(b"\0") if name]
    if not whole:
        names = names[:-1]
    return names[: UNTRACKED_MAX + 1], whole


async def _harmless(run: _Runner, repo: Repo, private: Path) -> dict[str, str]:
    """The few settings of the repository that are taken over, read from its one file without includes."""
    file = repo.common / "config"
    data = await asyncio.to_thread(read_plain, file, INDEX_MAX_BYTES)
    if data is None:
        return {}
    copy = private / "their-config"
    copy.write_bytes(data)
    code, said, _ = await run("config", "--file", str(copy), "--no-includes", "--null", "--list", cwd=private)
    if code != 0:
        raise GitTrouble("the configuration of the repository cannot be read")
    found: dict[str, str] = {}
    for entry in said.decode("utf-8", "replace").split("\0"):
        key, _, value = entry.partition("\n")
        if value.lower() in _HARMLESS.get(key, ()):
            found[key] = value.lower()
        elif key == "extensions.objectformat":
            if value not in _EMPTY_TREE:
                raise GitTrouble("the repository uses an object format that is not known")
            found[key] = value
    return found


def _lay_out(private: Path, repo: Repo, head: str | None, kept: dict[str, str]) -> None:
    """The private git folder: our configuration, their index and ignore rules, their objects as alternates."""
    for name in ("objects/info", "refs/heads", "info"):
        (private / name).mkdir(parents=True)
    core = "".join(
        f"\t{key.removeprefix('core.')} = {value}\n" for key, value in kept.items() if key.startswith("core.")
    )
    text = f"[core]\n\trepositoryformatversion = 1\n\tbare = false\n\thooksPath = /dev/null\n{core}"
    text += "[diff]\n\trenames = true\n[gc]\n\tauto = 0\n"
    if "extensions.objectformat" in kept:
        text += f"[extensions]\n\tobjectformat = {kept['extensions.objectformat']}\n"
    (private / "config").write_text(text, encoding="utf-8")
    (private / "HEAD").write_text(f"{head}\n" if head else "ref: refs/heads/none\n", encoding="ascii")
    (private / "info" / "attributes").write_text(_ATTRIBUTES, encoding="ascii")
    objects = os.fsencode(repo.common / "objects")
    (private / "objects" / "info" / "alternates").write_bytes(objects + b"\n")
    _copy(repo.common / "info" / "exclude", private / "info" / "exclude", SMALL_MAX_BYTES)
    _copy(repo.common / "shallow", private / "shallow", INDEX_MAX_BYTES)
    _copy(repo.own / "index", private / "index", INDEX_MAX_BYTES)
    for shared in list(repo.own.glob("sharedindex.*"))[:4]:
        _copy(shared, private / shared.name, INDEX_MAX_BYTES)


def _copy(source: Path, target: Path, limit: int) -> None:
    data = read_plain(source, limit + 1)
    if data is None:
        return
    if len(data) > limit:
        raise GitTrouble(f"{source.name} of the repository is larger than {limit} bytes")
    target.write_bytes(data)
    # Git trusts a file that has not been touched since the index was written, in whole seconds: a younger copy of the
    # index would hide a change of the same second and size.
    when = source.lstat().st_mtime_ns
    os.utime(target, ns=(when, when))


def _environment(private: Path) -> dict[str, str]:
    """Nothing of ours that steers git, nothing of theirs at all. HOME stays for the user's own ignore file."""
    kept = {name: value for name in ("PATH", "HOME", "XDG_CONFIG_HOME") if (value := os.environ.get(name))}
    with contextlib.suppress(KeyError):
        kept["TMPDIR"] = os.environ["TMPDIR"]
    return kept | {
        "LC_ALL": "C.UTF-8",
        "GIT_DIR": str(private),
        "GIT_WORK_TREE": ".",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_PAGER": "cat",
    }
