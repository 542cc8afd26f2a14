"""Set a harness up, take it back, say how it is. Plans first; nothing is written before the plan is carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from brainrouter.adapters import config_file
from brainrouter.adapters.config_file import Held, Refused
from brainrouter.adapters.setup_record import FileRecord, SetupRecord
from brainrouter.harness.claude import CLAUDE, server_document, variables
from brainrouter.harness.document import Document
from brainrouter.harness.edit import CannotEdit
from brainrouter.harness.shell_rc import SHELLS, rc_document
from brainrouter.harness.target import Harness, Target
from brainrouter.harness.workflow import review_block

T = TypeVar("T")
NAME = "brainrouter"
State = Literal["ready", "outdated", "absent", "broken"]


@dataclass(frozen=True, slots=True)
class Options:
    """What the user chose beside the harness: a shell's start file for Claude Code, the review instructions."""

    shell: str | None = None
    workflow: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One file: what it holds now and what it will hold (None: not there), and what to remember of it."""

    held: Held
    after: str | None
    record: FileRecord | None

    @property
    def needed(self) -> bool:
        return self.after != self.held.text


class Plan:
    """What will be written. `carry_out` writes all of it or takes back what it wrote."""

    def __init__(self, changes: list[Change], record: SetupRecord, folders: list[Path]) -> None:
        self.changes = changes
        self._record = record
        self._folders = folders

    @property
    def needed(self) -> list[Change]:
        """The changes that change something."""
        return [change for change in self.changes if change.needed]

    @property
    def backups(self) -> Path:
        """Where the originals are kept."""
        return self._record.folder

    def carry_out(self) -> None:
        """Write. Raises Refused when a file may not or can not be written; then all are as they were."""
        done: list[Change] = []
        self._record.save([change.record for change in self.changes if change.record is not None])
        try:
            for change in self.needed:
                config_file.replace(change.held, change.after)
                done.append(change)
        except Refused:
            for change in reversed(done):
                config_file.replace(replace(change.held, text=change.after), change.held.text)
            raise
        config_file.remove_empty(self._folders)


class SetUp:
    """One harness of one user. `env` is the user's environment."""

    def __init__(self, harness: Harness, target: Target, env: Mapping[str, str], port_file: Path) -> None:
        self.harness = harness
        self._target = target
        self._env = env
        self._port_file = str(port_file)
        self._record = SetupRecord(env, harness.name)

    def install(self, options: Options) -> Plan:
        """The plan that points the harness here. Raises Refused or CannotEdit, naming the file."""
        recorded = self._record.load()
        wanted = self._wanted(options)
        changes = [self._install(document, recorded) for document in wanted]
        paths = {change.held.path for change in changes}
        stale = [
            self._uninstall(document, recorded)
            for document in self._all()
            if self._path(document) not in paths
        ]
        kept = [change for change in stale if change.needed]
        return Plan([*changes, *kept], self._record, [])

    def uninstall(self) -> Plan:
        """The plan that takes everything of ours back."""
        recorded = self._record.load()
        changes = [self._uninstall(document, recorded) for document in self._all()]
        made = {Path(folder) for record in recorded.values() for folder in record.folders}
        folders = sorted(made, key=lambda folder: len(folder.parts), reverse=True)
        return Plan([replace(change, record=None) for change in changes], self._record, folders)

    def state(self) -> tuple[State, str]:
        """How the harness' own files stand, and a word on it."""
        states: set[str] = set()
        for document in self.harness.documents(self._target, self._env):
            try:
                held = self._read(document)
                text = held.text or ""
                installed = held.text is not None and self._named(
                    held, lambda d=document, t=text: d.installed(t)
                )
                states.add("ready" if installed else "outdated" if self._traced(document, held) else "absent")
            except (Refused, CannotEdit) as error:
                return "broken", str(error)
        if states == {"absent", "ready"} and self._shell_block():
            states = {"ready"}  # Claude Code by its shell's variables
        if states == {"absent"}:
            return "absent", "not set up"
        if states == {"ready"}:
            return "ready", "set up"
        return "outdated", "set up for another address, or in part"

    def _wanted(self, options: Options) -> list[Document]:
        target, env = self._target, self._env
        documents = self.harness.documents(target, env)
        if options.shell is not None and self.harness is CLAUDE:
            documents = [self._rc(options.shell), server_document(target, env)]
        return [*documents, self._instructions()] if options.workflow else documents

    def _all(self) -> list[Document]:
        """Every file that some choice of options may have put something into."""
        known = self._target
        full = replace(
            known,
            auto_window=known.auto_window or 1,
            local_window=known.local_window or 1,
            cloud_window=known.cloud_window or 1,
        )
        shells = [self._rc(name) for name in SHELLS] if self.harness is CLAUDE else []
        return [*self.harness.documents(full, self._env), self._instructions(), *shells]

    def _rc(self, shell: str) -> Document:
        return rc_document(SHELLS[shell], self._env, variables(self._target), self._port_file)

    def _shell_block(self) -> bool:
        if self.harness is not CLAUDE:
            return False
        return any(self._traced(self._rc(name), self._read(self._rc(name))) for name in SHELLS)

    def _instructions(self) -> Document:
        path = f"{self.harness.folder(self._env)}/{self.harness.instructions}"
        return Document(path, "block", block=review_block(self.harness.review_tool))

    def _path(self, document: Document) -> Path:
        path = Path(document.path)
        candidates = [path.with_name(name) for name in document.first_of]
        return next((candidate for candidate in candidates if _is_taken(candidate)), path)

    def _read(self, document: Document) -> Held:
        path, home = self._path(document), Path(self._env["HOME"])
        return config_file.read(path, home if path.is_relative_to(home) else path.parent)

    def _traced(self, document: Document, held: Held) -> bool:
        return held.text is not None and bool(self._named(held, lambda: document.traces(held.text or "")))

    def _install(self, document: Document, recorded: Mapping[str, FileRecord]) -> Change:
        held = self._read(document)
        old = recorded.get(str(held.path))
        after = self._named(held, lambda: document.install(held.text or ""))
        if after == held.text:
            record = old or FileRecord(str(held.path), self._without(document, held, None), after, [])
            return Change(held, after, record)
        folders = old.folders if old else [str(folder) for folder in config_file.missing_folders(held.real)]
        return Change(
            held, after, FileRecord(str(held.path), self._without(document, held, old), after, folders)
        )

    def _uninstall(self, document: Document, recorded: Mapping[str, FileRecord]) -> Change:
        held = self._read(document)
        old = recorded.get(str(held.path))
        return Change(held, self._without(document, held, old), None)

    def _without(self, document: Document, held: Held, old: FileRecord | None) -> str | None:
        """The file as it would be without us: its original to the byte, where nobody else has changed it since."""
        text = held.text
        if text is None:
            return None
        if old is not None and text == old.after:
            return old.before
        if old is None and NAME not in text:
            return text
        before = (old.before if old else None) or ""
        after = old.after if old else document.install("")
        left = self._named(held, lambda: document.uninstall(text, before, after))
        ours_alone = old is not None and old.before is None
        return None if ours_alone and left.strip() in ("", "{}") else left

    def _named(self, held: Held, work: Callable[[], T]) -> T:
        try:
            return work()
        except CannotEdit as error:
            raise CannotEdit(f"{held.path}: {error}") from error


def _is_taken(path: Path) -> bool:
    """Whether a name is taken, be it by a link to nowhere."""
    return path.is_symlink() or path.exists()


def every(
    harnesses: Sequence[Harness], target: Target, env: Mapping[str, str], port_file: Path
) -> list[tuple[Harness, State, str]]:
    """How each harness stands."""
    return [(harness, *SetUp(harness, target, env, port_file).state()) for harness in harnesses]
