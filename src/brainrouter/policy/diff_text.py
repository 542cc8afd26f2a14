"""A unified diff as text: cut into files, counted, compared with the one before. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

LINE_MAX_CHARS = 500
COMPARED_MAX_LINES = 3000
_HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+(\d+)(?:,\d+)? @@")


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One file's part of a diff. `note` says what is special about it: untracked, binary, cut, not shown, ..."""

    path: str
    text: str
    added: int
    removed: int
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the material. `number` is its place in the new file; None for a removed line."""

    path: str
    number: int | None
    text: str
    sign: str


def split_files(diff: str) -> list[FileDiff]:
    """The files of a diff that git made, in its order."""
    starts = [found.start() for found in re.finditer(r"^diff --git ", diff, re.MULTILINE)]
    ends = [*starts[1:], len(diff)][: len(starts)]
    return [_file(diff[start:end]) for start, end in zip(starts, ends, strict=True)]


def new_file(path: str, text: str | None, note: str | None) -> FileDiff:
    """A file that git does not know, in the form of a diff; without a text only its name and the reason are shown."""
    head = f"diff --git a/{path} b/{path}\nnew file (untracked)\n"
    if text is None:
        return FileDiff(path, f"{head}({note})\n", 0, 0, note)
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    body = "".join(f"+{_short(line)}\n" for line in lines)
    text = f"{head}--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(lines)} @@\n{body}"
    return FileDiff(path, text, len(lines), 0, note or "untracked")


def hidden(file: FileDiff) -> FileDiff:
    """The same file with nothing but its name: for one that is there to hold secrets."""
    head = file.text.split("\n", 1)[0]
    return FileDiff(file.path, f"{head}\n(not shown)\n", file.added, file.removed, "not shown")


def lines_of(file: FileDiff) -> Iterator[Line]:
    """The lines of a file's hunks with their places in the new file."""
    number = 0
    inside = False
    for line in file.text.split("\n"):
        hunk = _HUNK.match(line)
        if hunk:
            number, inside = int(hunk[1]), True
        elif inside and line[:1] in ("+", " "):
            yield Line(file.path, number, line[1:], line[0])
            number += 1
        elif inside and line[:1] == "-":
            yield Line(file.path, None, line[1:], "-")


def changed_since(before: str, now: str) -> str:
    """What the diff `now` adds to the diff `before` and takes from it, file by file; empty when nothing does."""
    old = {file.path: file for file in split_files(before)}
    said: list[str] = []
    for file in split_files(now):
        held = old.pop(file.path, None)
        if held is None:
            said.append(f"{file.path}: now changed too ({file.added} lines added, {file.removed} removed)")
        elif held.text != file.text:
            said.append(f"{file.path}:\n{_between(held, file)}")
    said += [f"{path}: the change was taken back" for path in old]
    return "\n".join(said)


def _between(old: FileDiff, new: FileDiff) -> str:
    before, after = _plain(old), _plain(new)
    if len(before) + len(after) > COMPARED_MAX_LINES:
        return "(much of it; see the change)"
    rows = (
        difflib.ndiff(before, after)
        if len(before) + len(after) < 200
        else difflib.unified_diff(before, after, n=0)
    )
    kept = [row.rstrip("\n") for row in rows if row[:1] in "+-" and not row.startswith(("+++", "---"))]
    return (
        "\n".join(f"{row[0]} {row[1:].lstrip(' ') if row[1:2] == ' ' else row[1:]}" for row in kept)
        or "(only places)"
    )


def _plain(file: FileDiff) -> list[str]:
    """What the new file holds there, and what it lost, without places."""
    return [line.text if line.sign != "-" else f"(removed) {line.text}" for line in lines_of(file)]


def _file(text: str) -> FileDiff:
    rows = text.split("\n")
    inside = False
    added = removed = 0
    for row in rows:
        if row.startswith("@@ "):
            inside = True
        elif inside:
            added += row.startswith("+")
            removed += row.startswith("-")
    binary = not inside and any(row.startswith(("Binary files ", "GIT binary patch")) for row in rows)
    shown = "\n".join(map(_short, rows)) if any(len(row) > LINE_MAX_CHARS for row in rows) else text
    return FileDiff(_path(rows), shown, added, removed, "binary" if binary else None)


def _path(rows: list[str]) -> str:
    for sign in ("+++ ", "--- "):
        for row in rows:
            if row.startswith("@@ "):
                break
            if row.startswith(sign) and row[4:] != "/dev/null":
                return row[4:].strip('"\t').removeprefix("a/").removeprefix("b/")
    for row in rows:
        if row.startswith(("rename to ", "copy to ")):
            return row.split(" to ", 1)[1].strip('"')
    name = rows[0].removeprefix("diff --git ")
    return name[: len(name) // 2].strip('"').removeprefix("a/")


def _short(line: str) -> str:
    if len(line) <= LINE_MAX_CHARS:
        return line
    return f"{line[:LINE_MAX_CHARS]} [{len(line) - LINE_MAX_CHARS} more characters in this line]"
