"""What we did to a harness' files: kept in the state folder, so that it can be taken back to the byte."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from brainrouter.adapters.config_file import remove_empty


@dataclass(slots=True)
class FileRecord:
    """One file around our installation. `before` None: it was not there. `folders` are those that we made."""

    path: str
    before: str | None
    after: str
    folders: list[str]


class SetupRecord:
    """The records of one harness, by path. The originals lie beside it as plain files, for the user's own eyes."""

    def __init__(self, env: Mapping[str, str], harness: str) -> None:
        base = env.get("XDG_STATE_HOME") or ""
        state = Path(base) if base.startswith("/") else Path(env["HOME"]) / ".local" / "state"
        self.folder = state / "brainrouter" / "harness" / harness

    def load(self) -> dict[str, FileRecord]:
        """What is recorded; nothing when there is no record or it cannot be read."""
        try:
            rows = msgspec.json.decode((self.folder / "record.json").read_bytes(), type=list[dict[str, Any]])
            records = [self._row(number, row) for number, row in enumerate(rows)]
        except (OSError, KeyError, TypeError, UnicodeDecodeError, msgspec.MsgspecError):
            return {}
        return {record.path: record for record in records}

    def save(self, records: list[FileRecord]) -> None:
        """Replace what is recorded; an empty list forgets everything and removes the folder."""
        if not records:
            shutil.rmtree(self.folder, ignore_errors=True)
            remove_empty([self.folder.parent, self.folder.parent.parent])
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        rows: list[dict[str, Any]] = []
        for number, record in enumerate(records):
            rows.append(
                {"path": record.path, "existed": record.before is not None, "folders": record.folders}
            )
            self._write(self._name(number, record.path, "before"), record.before or "")
            self._write(self._name(number, record.path, "after"), record.after)
        self._write("record.json", msgspec.json.encode(rows).decode())

    def _row(self, number: int, row: dict[str, Any]) -> FileRecord:
        path = str(row["path"])
        before = self._read(self._name(number, path, "before")) if row["existed"] else None
        return FileRecord(path, before, self._read(self._name(number, path, "after")), list(row["folders"]))

    def _name(self, number: int, path: str, which: str) -> str:
        return f"{number}-{Path(path).name}.{which}"

    def _read(self, name: str) -> str:
        return (self.folder / name).read_bytes().decode("utf-8")

    def _write(self, name: str, text: str) -> None:
        place, new = self.folder / name, self.folder / f".{name}.new"
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8"))
        new.replace(place)
