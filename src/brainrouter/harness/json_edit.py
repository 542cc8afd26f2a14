"""Edits of JSON with comments, in place: everything that is not ours keeps its bytes."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from brainrouter.harness.edit import MISSING, CannotEdit, Item, Put, Tree, Undo, leftovers
from brainrouter.harness.json_text import Member, Node, parse

EMPTY = "{}\n"


def read(text: str) -> Tree:
    """The configuration. Raises CannotEdit for what is no JSON object."""
    if not text.strip():
        return {}
    value = parse(text).value
    if not isinstance(value, dict):
        raise CannotEdit("expected an object in braces")
    return cast("Tree", value)


def put(text: str, edit: Put | Item) -> str:
    """The text with one edit made."""
    text = text if text.strip() else EMPTY
    if isinstance(edit, Item):
        return _put_item(text, edit)
    return _put_at(text, edit.path, edit.value)


def undo(text: str, step: Undo, before: Tree) -> str:
    """The text with one edit taken back."""
    edit = step.edit
    if step.value is not MISSING:
        return (
            _put_at(text, edit.path, step.value)
            if isinstance(edit, Put)
            else put(text, Item(edit.path, edit.known_by, step.value))
        )
    holder = _find(parse(text), edit.path if isinstance(edit, Item) else edit.path[:-1])
    member = _element(holder, edit) if isinstance(edit, Item) else holder.member(edit.path[-1])
    text = _cut(text, holder, member)
    for path in leftovers(read(text), before, edit):
        holder = _find(parse(text), path[:-1])
        text = _cut(text, holder, holder.member(path[-1]))
    return text


def _put_at(text: str, path: tuple[str, ...], value: Any) -> str:
    node, unit = parse(text), _unit(text)
    for at, key in enumerate(path):
        member = node.member(key)
        if member is None or (at < len(path) - 1 and member.node.value is None):
            for outer in reversed(path[at + 1 :]):
                value = {outer: value}
            if member is None:
                return _append(text, node, _plain(key) + ": ", value, unit)
            return _replace(text, member.node, value, unit)
        node = member.node
    return text if node.value == value else _replace(text, node, value, unit)


def _put_item(text: str, edit: Item) -> str:
    node = parse(text)
    for key in edit.path:
        member = node.member(key)
        if member is None or member.node.value is None:
            return _put_at(text, edit.path, [edit.value])
        node = member.node
    found = _element(node, edit)
    if found is None:
        return _append(text, node, "", edit.value, _unit(text))
    return text if found.node.value == edit.value else _replace(text, found.node, edit.value, _unit(text))


def _element(node: Node, edit: Item) -> Member | None:
    return next((member for member in node.members if edit.fits(member.node.value)), None)


def _find(node: Node, path: tuple[str, ...]) -> Node:
    for key in path:
        member = node.member(key)
        if member is None:
            raise CannotEdit(f"`{'.'.join(path)}` is not there any more")
        node = member.node
    return node


def _unit(text: str) -> str:
    """The file's own step of indentation."""
    found = re.search(r"^[\[{][ \t]*\r?\n([ \t]+)\S", text, re.MULTILINE)
    return found.group(1) if found else "  "


def _line_indent(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip())]


def _render(value: Any, unit: str, indent: str) -> str:
    """Objects and lists of objects over several lines, lists of plain values on one."""
    inner = indent + unit
    if isinstance(value, dict) and value:
        tree = cast("Tree", value)
        lines = [f"{_plain(key)}: {_render(held, unit, inner)}" for key, held in tree.items()]
        return "{" + ",".join(f"\n{inner}{line}" for line in lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(held, dict) for held in cast("list[Any]", value)):
        lines = [_render(held, unit, inner) for held in cast("list[Any]", value)]
        return "[" + ",".join(f"\n{inner}{line}" for line in lines) + f"\n{indent}]"
    return _plain(value)


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _replace(text: str, node: Node, value: Any, unit: str) -> str:
    return text[: node.start] + _render(value, unit, _line_indent(text, node.start)) + text[node.end :]


def _append(text: str, holder: Node, key: str, value: Any, unit: str) -> str:
    """A new last member: on a line of its own, unless the container is written on one line and not empty."""
    inside = text[holder.start : holder.end]
    indent = _line_indent(text, holder.start)
    closing = holder.end - 1
    if not holder.members:
        body = f"\n{indent}{unit}{key}{_render(value, unit, indent + unit)}"
        comments = text[holder.start + 1 : closing].rstrip()
        return text[: holder.start + 1] + comments + body + f"\n{indent}" + text[closing:]
    last = holder.members[-1]
    if "\n" not in inside:
        at = last.node.end if last.comma is None else last.comma + 1
        new = f"{',' if last.comma is None else ''} {key}{_plain(value)}"
        return text[:at] + new + ("," if last.comma is not None else "") + text[at:]
    own = _line_indent(text, last.start)
    end = closing - len(inside[:-1]) + len(inside[:-1].rstrip())  # after the last value and its comments
    new = f"\n{own}{key}{_render(value, unit, own)}"
    if last.comma is not None:  # the file's style is to end with one
        return text[:end] + new + "," + text[end:]
    return text[: last.node.end] + "," + text[last.node.end : end] + new + text[end:]


def _cut(text: str, holder: Node, member: Member | None) -> str:
    """Without a member, its comma and the blank before it."""
    if member is None:
        return text
    at = holder.members.index(member)
    start = len(text[: member.start].rstrip())
    end = member.node.end if member.comma is None else member.comma + 1
    before = holder.members[at - 1] if at else None
    if len(holder.members) == 1 and not text[end : holder.end - 1].strip() and text[start - 1] in "{[":
        return text[:start] + text[holder.end - 1 :]
    if member.comma is None and before is not None and before.comma is not None:
        text = text[: before.comma] + text[before.comma + 1 :]
        start, end = start - 1, end - 1
    return text[:start] + text[end:]
