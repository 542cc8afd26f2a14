"""Reads the set: one case is a file before the change, after a right one, and after a wrong one."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("cases.txt")


@dataclass(frozen=True)
class Case:
    """One file in three states."""

    path: str
    summary: str
    before: str
    right: str
    wrong: str

    def diff(self, *, wrong: bool) -> str:
        """The change as git would show it."""
        after = self.wrong if wrong else self.right
        rows = difflib.unified_diff(
            self.before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{self.path}", f"b/{self.path}"
        )  # fmt: skip
        return f"diff --git a/{self.path} b/{self.path}\nindex 1111111..2222222 100644\n{''.join(rows)}"

    @property
    def bug(self) -> list[str]:
        """The lines that only the wrong change has: one of them must be pointed at."""
        right = set(self.right.splitlines())
        only = [line for line in self.wrong.splitlines() if line not in right and line.strip()]
        before = set(
            self.before.splitlines()
        )  # where the bug is the order of lines, any changed line will do
        return only or [line for line in self.wrong.splitlines() if line not in before and line.strip()]


def cases() -> list[Case]:
    """All of them, in the file's order."""
    found: list[Case] = []
    for block in FILE.read_text(encoding="utf-8").split("\n== ")[1:]:
        head, *rows = block.rstrip("\n").split("\n")
        path, summary = (part.strip() for part in head.split("|"))

        def state(sign: str, rows: list[str] = rows) -> str:
            return "".join(f"{row[1:]}\n" for row in rows if row[:1] in (" ", sign))

        found.append(Case(path, summary, state("-"), state("+"), state("!")))
    return found
