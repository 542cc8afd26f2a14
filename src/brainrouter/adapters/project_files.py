"""What a project says of itself: requirements and rules for agents, read without leaving its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from brainrouter.adapters.work_folder import Folder, NotAllowed, open_folder

DOCUMENT_MAX_BYTES = 64 * 1024
REQUIREMENTS = ("docs/PRD.md", "PRD.md", "README.md")
AGENTS = "AGENTS.md"


@dataclass(frozen=True, slots=True)
class Document:
    """One text, and whether it was cut at the limit."""

    name: str
    text: str
    cut: bool = False


def read_requirements(root: Folder) -> Document | None:
    """The first of docs/PRD.md, PRD.md, README.md that is there and says something."""
    return next(filter(None, (_read(root, name, name) for name in REQUIREMENTS)), None)


def read_agents(root: Folder, cwd: Folder) -> list[Document]:
    """AGENTS.md of the project, and that of the folder worked in when it is another one."""
    found = [_read(root, AGENTS, AGENTS)]
    if cwd.path != root.path and cwd.path.is_relative_to(root.path):
        found.append(_read(cwd, AGENTS, f"{cwd.path.relative_to(root.path)}/{AGENTS}"))
    return [document for document in found if document is not None]


def read_contract(home: Path, config: Path, root: Folder) -> Document | None:
    """The user's agent contract: AGENTS.md beside our settings, in ~/.agents or in the home folder."""
    try:
        for folder, name in ((config, AGENTS), (home, f".agents/{AGENTS}"), (home, AGENTS)):
            if not folder.is_dir() or folder == root.path:
                continue
            with open_folder(str(folder), [folder]) as opened:
                document = _read(opened, name, f"~/{name}" if folder == home else f"{folder}/{name}")
                if document is not None:
                    return document
    except NotAllowed:
        return None
    return None


def _read(folder: Folder, path: str, name: str) -> Document | None:
    data = folder.read(path, DOCUMENT_MAX_BYTES + 1)
    if not data or not data.strip() or b"\0" in data:
        return None
    return Document(
        name, data[:DOCUMENT_MAX_BYTES].decode("utf-8", "replace"), len(data) > DOCUMENT_MAX_BYTES
    )
