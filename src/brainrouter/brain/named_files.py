"""Whether a request names a file: globs over paths, looked for in the request's own bytes. Pure.

A literal piece of the glob is searched first, which runs at memory speed; only what stands around a hit is matched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import translate

MAX_CHARS = 200
MAX_WILDCARDS = 6
REACH = 300  # a path is looked at for so many bytes on either side of its literal piece
MAX_LOOKS = 2000
_WILD = re.compile(r"[*?]+")
# What ends a path in JSON, in prose, in a shell command; JSON's \uXXXX does not.
_BREAKS = "\t\r\n\"'`<>|;,()[]{}:=&$!#*?\0"
_CUT = re.compile(rb"[ %s]|\\(?!u[0-9a-f]{4})" % re.escape(_BREAKS.encode()))
_CUT_NOT_AT_SPACES = re.compile(rb"[%s]|\\(?!u[0-9a-f]{4})" % re.escape(_BREAKS.encode()))
_ESCAPED = re.compile(r"\\u([0-9a-f]{4})")


class BadGlob(ValueError):
    """What is wrong with a glob."""


@dataclass(frozen=True, slots=True)
class FileGlob:
    """One glob. `*` and `?` stay inside one folder, `**` does not; it may begin in any folder."""

    text: str
    literals: tuple[bytes, ...]
    segments: tuple[re.Pattern[str] | None, ...]
    spaces: bool

    def named_in(self, request: bytes) -> str | None:
        """The first path in a request that the glob means, as it is written there.

        A request that holds something alike more often than can be looked at counts as naming it.
        """
        cut = _CUT_NOT_AT_SPACES if self.spaces else _CUT
        for literal in self.literals:
            seen: set[bytes] = set()
            at, looked = request.find(literal), 0
            while at >= 0:
                end = at + len(literal)
                before = cut.split(request[max(0, at - REACH) : at])[-1]
                around = before + literal + cut.split(request[end : end + REACH], maxsplit=1)[0]
                if around not in seen:
                    seen.add(around)
                    found = self._path_in(_unescaped(around))
                    if found is not None:
                        return found
                looked += 1
                if looked == MAX_LOOKS:
                    return self.text
                at = request.find(literal, end)
        return None

    def _path_in(self, around: str) -> str | None:
        """The part of these words that is such a path: it begins at a folder and ends where a path may end."""
        words = around.split(" ") if self.spaces else [around]
        for first in range(len(words)):
            for last in range(len(words), first, -1):
                path = " ".join(words[first:last]).rstrip("./").lstrip("@")
                parts = path.split("/")
                if any(_matches(self.segments, parts[start:]) for start in range(len(parts))):
                    return path
        return None


def file_glob(text: str) -> FileGlob:
    """Read a glob as it is written in a file of rules. Raises BadGlob for one that would mean too much."""
    glob = text.strip().removeprefix("./").lstrip("/")
    glob += "**" if glob.endswith("/") else ""
    if not 0 < len(glob) <= MAX_CHARS or not glob.isprintable():
        raise BadGlob(f"expected a file name or glob of at most {MAX_CHARS} characters, found {text[:40]!r}")
    literal = max(_WILD.split(glob), key=len)
    if len(literal.strip("/. ")) < 2:
        raise BadGlob(f"{text[:40]!r} names almost every file; write `never_cloud: true` for a whole project")
    if len(_WILD.findall(glob)) > MAX_WILDCARDS:
        raise BadGlob(f"{text[:40]!r} has more than {MAX_WILDCARDS} wildcards")
    if any((char in _BREAKS and char not in "*?") or char == "\\" for char in glob):
        raise BadGlob(f"{text[:40]!r} holds a character that cannot be told from the words around a path")
    segments = (None if part == "**" else re.compile(translate(part)) for part in glob.split("/"))
    forms = {literal.encode(), json.dumps(literal)[1:-1].encode()}
    return FileGlob(glob, tuple(sorted(forms)), tuple(segments), " " in glob)


def _matches(segments: Sequence[re.Pattern[str] | None], parts: Sequence[str]) -> bool:
    """Whether a path's folders match: all of them, or the first of them, since what is below a folder is in it."""
    reached = {0}  # how many parts the segments so far may have taken
    for segment in segments:
        if segment is None:
            reached = set(range(min(reached), len(parts) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(parts) and segment.match(parts[at])}
        if not reached:
            return False
    return True


def _unescaped(around: bytes) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), around.decode("utf-8", "replace"))
