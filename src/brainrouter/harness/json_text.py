"""JSON with comments and trailing commas as spans of a text, so that it can be edited in place."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from brainrouter.harness.edit import CannotEdit

DEPTH_MAX = 100
_BLANK = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_ATOM = re.compile(r"true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])")


@dataclass(slots=True)
class Node:
    """A value and where it stands: `text[start:end]`. Containers have members; `value` is plain Python."""

    start: int
    end: int
    value: Any
    members: list[Member] = field(default_factory=list["Member"])

    def member(self, key: str) -> Member | None:
        """The member of an object by its key."""
        return next((member for member in self.members if member.key == key), None)


@dataclass(slots=True)
class Member:
    """An object's key and value, or a list's element (then `key` is empty). `comma` is where its comma stands."""

    key: str
    start: int
    node: Node
    comma: int | None = None


def parse(text: str) -> Node:
    """The document as spans. Raises CannotEdit that names line and column."""
    return _Reader(text).document()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def document(self) -> Node:
        self._blank()
        node = self._value(0)
        self._blank()
        if self._at < len(self._text):
            raise self._wrong("expected the end of the file")
        return node

    def _blank(self) -> None:
        found = _BLANK.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _value(self, depth: int) -> Node:
        if depth > DEPTH_MAX:
            raise self._wrong(f"more than {DEPTH_MAX} levels deep")
        start, char = self._at, self._text[self._at : self._at + 1]
        if char in ("{", "["):
            return self._container(start, "}" if char == "{" else "]", depth)
        found = (_STRING if char == '"' else _ATOM).match(self._text, start)
        if not found:
            raise self._wrong("expected a value")
        self._at = found.end()
        try:
            return Node(start, self._at, json.loads(found.group()))
        except ValueError as error:
            self._at = start
            raise self._wrong("expected a value") from error

    def _container(self, start: int, closing: str, depth: int) -> Node:
        members: list[Member] = []
        self._at += 1
        self._blank()
        while self._text[self._at : self._at + 1] != closing:
            if members and members[-1].comma is None:
                raise self._wrong(f"expected a comma or {closing!r}")
            member = self._member(depth) if closing == "}" else Member("", self._at, self._value(depth + 1))
            if closing == "}" and any(member.key == other.key for other in members):
                self._at = member.start
                raise self._wrong(f"the key {member.key!r} is given twice")
            self._blank()
            if self._text[self._at : self._at + 1] == ",":
                member.comma = self._at
                self._at += 1
                self._blank()
            members.append(member)
        self._at += 1
        values = [member.node.value for member in members]
        plain: Any = {m.key: m.node.value for m in members} if closing == "}" else values
        return Node(start, self._at, plain, members)

    def _member(self, depth: int) -> Member:
        start, found = self._at, _STRING.match(self._text, self._at)
        if not found:
            raise self._wrong("expected a key in double quotes")
        key = json.loads(found.group())
        self._at = found.end()
        self._blank()
        if self._text[self._at : self._at + 1] != ":":
            raise self._wrong("expected a colon")
        self._at += 1
        self._blank()
        return Member(key, start, self._value(depth + 1))

    def _wrong(self, what: str) -> CannotEdit:
        line = self._text.count("\n", 0, self._at) + 1
        column = self._at - self._text.rfind("\n", 0, self._at)
        return CannotEdit(f"line {line}, column {column}: {what}")
