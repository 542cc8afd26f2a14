"""What a round shows to the reviewer, gathered from a project that is not to be trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from brainrouter.adapters.git import Change, changes
from brainrouter.adapters.git_repo import find_repo
from brainrouter.adapters.project_files import read_agents, read_contract, read_requirements
from brainrouter.adapters.work_folder import Folder, open_folder
from brainrouter.policy.diff_text import FileDiff, changed_since, new_file, split_files
from brainrouter.policy.review_markers import markers
from brainrouter.policy.review_prompt import Document, Material, earlier_rounds, safe_files
from brainrouter.policy.review_session import FileRow, Round, Session
from brainrouter.wire.secret_shapes import masked_code

DIFF_KEPT_CHARS = 400_000


@dataclass(frozen=True, slots=True)
class Gathered:
    """The state of a project at one moment. `change` is None outside of a repository."""

    root: Path
    change: Change | None
    documents: tuple[Document, ...]

    @property
    def digest(self) -> str | None:
        """Names this state of the code; None when not all of it was read."""
        return self.change.digest if self.change is not None and self.change.whole else None

    @property
    def is_empty(self) -> bool:
        """Nothing to look at."""
        return self.change is None or not (self.change.diff or self.change.untracked)


class Gatherer:
    """Looks into projects below `roots` (the user's home and what the configuration allows)."""

    def __init__(self, roots: Sequence[Path], home: Path, config_dir: Path) -> None:
        self._roots = list(roots)
        self._home = home
        self._config_dir = config_dir

    async def root_of(self, cwd: str, callers_own: str | None) -> Path:
        """The project that `cwd` lies in. Raises NotAllowed, GitTrouble."""
        roots = self._with(callers_own)

        def look() -> Path:
            with open_folder(cwd, roots) as folder:
                repo = find_repo(folder, roots)
                return folder.path if repo is None else repo.root

        return await asyncio.to_thread(look)

    async def gather(self, cwd: str, callers_own: str | None, base: str | None) -> Gathered:
        """Everything that a round needs of the project. Raises NotAllowed, GitTrouble."""
        roots = self._with(callers_own)
        with await asyncio.to_thread(open_folder, cwd, roots) as folder:
            change = await changes(folder, roots, base)
            root = folder.path if change is None else change.root
            documents = await asyncio.to_thread(self._documents, folder, root)
        return Gathered(root, change, documents)

    def _documents(self, cwd: Folder, root: Path) -> tuple[Document, ...]:
        with open_folder(str(root), [root]) as folder:
            found = [("requirements", read_requirements(folder))]
            found += [("rules", document) for document in read_agents(folder, cwd)]
            found.append(("rules", read_contract(self._home, self._config_dir, folder)))
        return tuple(
            Document(kind, document.name, masked_code(document.text))
            for kind, document in found
            if document is not None
        )

    def _with(self, callers_own: str | None) -> list[Path]:
        return self._roots if callers_own is None else [*self._roots, Path(callers_own)]


def material_of(session: Session, gathered: Gathered) -> Material:
    """The material of the next round: secrets masked, earlier rounds and what changed since the last one added."""
    change = gathered.change
    plain: list[FileDiff] = []
    wide: list[FileDiff] = []
    if change is not None:
        fresh = [new_file(file.path, file.text, file.note) for file in change.untracked]
        plain = [*split_files(change.diff), *fresh]
        wide = split_files(change.wide)
    files = safe_files(plain)
    ended = [one for one in session.rounds if one.ended_at is not None]
    since = changed_since(ended[-1].diff, _joined(files)) if ended else ""
    if ended and not since:
        since = "Nothing: the code is as it was."
    return Material(
        files,
        safe_files(wide),
        gathered.documents,
        masked_code(session.summary),
        masked_code(session.details or ""),
        tuple(map(masked_code, session.conversation_history)),
        earlier_rounds(session),
        since,
        clean=change is not None and change.clean,
    )


def suspicious(material: Material) -> list[str]:
    """Where the material talks to the reviewer."""
    sources = [(file.path, f"{file.path}\n{file.text}") for file in material.files]
    sources += [("summary", material.summary), ("details", material.details)]
    sources += [("conversation", text) for text in material.history]
    return markers(sources, [(document.name, document.text) for document in material.documents])


def describe(round_: Round, material: Material, gathered: Gathered) -> None:
    """Write into a round what it looks at."""
    round_.files = [FileRow(file.path, file.added, file.removed, file.note) for file in material.files]
    round_.diff = _joined(material.files)[:DIFF_KEPT_CHARS]
    round_.changed_since = material.since[:DIFF_KEPT_CHARS]
    round_.context = [document.name for document in material.documents]
    round_.digest = gathered.digest
    round_.notes = list(gathered.change.notes) if gathered.change is not None else []
    if material.clean:
        round_.notes.append("nothing was uncommitted: the last commit is reviewed")


def _joined(files: Sequence[FileDiff]) -> str:
    return "".join(file.text if file.text.endswith("\n") else f"{file.text}\n" for file in files)
