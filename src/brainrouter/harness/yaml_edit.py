"""Edits of YAML, in place: ruamel.yaml finds where things stand, and everything that is not ours keeps its bytes."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode

from brainrouter.harness.edit import MISSING, CannotEdit, Item, Put, Tree, Undo, leftovers

STEP = 2
_BARE = re.compile(r"[A-Za-z][A-Za-z/-]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def read(text: str) -> Tree:
    """The configuration. Raises CannotEdit that names line and column."""
    parser: Any = YAML(typ="safe", pure=True)
    try:
        tree: Any = parser.load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        raise CannotEdit(_words(error)) from error
    if tree is None:
        return {}
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in cast("dict[Any, Any]", tree)):
        raise CannotEdit("expected keys and values")
    return cast("Tree", tree)


def put(text: str, edit: Put | Item) -> str:
    """The text with one edit made."""
    if isinstance(edit, Item):
        raise CannotEdit("lists in YAML are not edited")
    return _put_at(text, edit.path, edit.value)


def undo(text: str, step: Undo, before: Tree) -> str:
    """The text with one edit taken back."""
    path = step.edit.path
    if step.value is not MISSING:
        return _put_at(text, path, step.value)
    gone = (leftovers(_without(read(text), path), before, step.edit) or [path])[-1]
    return _cut(text, gone)


def _without(tree: Tree, path: tuple[str, ...]) -> Tree:
    place = tree
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return tree


def _words(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return where + str(getattr(error, "problem", None) or "not YAML that can be read")


def _root(text: str) -> Any:
    """The document's mapping with its places, or None when it is empty."""
    parser: Any = YAML(typ="rt", pure=True)
    node: Any = parser.compose(text)
    if node is None or _is_null(node):
        return None
    if not _is_mapping(node):
        raise CannotEdit("expected keys and values")
    return node


def _is_mapping(node: Any) -> bool:
    return isinstance(node, MappingNode)


def _is_scalar(node: Any) -> bool:
    return isinstance(node, ScalarNode)


def _is_null(node: Any) -> bool:
    return _is_scalar(node) and node.value in ("", "null", "~") and not node.style


def _entry(node: Any, key: str) -> tuple[Any, Any] | None:
    pairs = cast("list[tuple[Any, Any]]", node.value)
    return next((pair for pair in pairs if pair[0].value == key), None)


def _put_at(text: str, path: tuple[str, ...], value: Any) -> str:
    node = _root(text)
    if node is None:
        start = text if not text or text.endswith("\n") else text + "\n"
        return start + _block(_nested(path, value), 0)
    for at, key in enumerate(path):
        if not _is_mapping(node):
            raise CannotEdit(f"`{'.'.join(path[:at])}` is expected to be a section with keys")
        found = _entry(node, key)
        if found is None:
            return _append(text, node, _nested(path[at:], value))
        held = found[1]
        if at == len(path) - 1 or _is_null(held):
            return _replace(text, node, found, _nested(path[at:], value))
        node = held
    return text


def _nested(path: tuple[str, ...], value: Any) -> Tree:
    for key in reversed(path):
        value = {key: value}
    return value


def _append(text: str, node: Any, new: Tree) -> str:
    """New entries at the end of a mapping, in its own style and indentation."""
    if node.flow_style:
        at = node.end_mark.index - 1
        inner = json.dumps(new, ensure_ascii=False)[1:-1]
        comma = ", " if node.value else ""
        return text[:at].rstrip() + comma + inner + text[at:]
    at = _end(text, node)
    start = "" if text[:at].endswith("\n") else "\n"
    indent = node.value[0][0].start_mark.column
    block = start + _block(new, indent)
    return text[:at] + (block if at == len(text) or start == "" else block.rstrip("\n")) + text[at:]


def _replace(text: str, node: Any, found: tuple[Any, Any], new: Tree) -> str:
    key, held = found
    value = new[key.value]
    if held.start_mark.index == held.end_mark.index:  # nothing at all after the colon
        at = text.index(":", key.end_mark.index) + 1
        held_start = held_end = at
    else:
        held_start, held_end = held.start_mark.index, held.end_mark.index
    scalar = not isinstance(value, dict | list)
    if node.flow_style or (scalar and _is_scalar(held) and held.style not in ("|", ">")):
        space = "" if text[held_start - 1 : held_start] in (" ", "\t") else " "
        return text[:held_start] + space + json.dumps(value, ensure_ascii=False) + text[held_end:]
    at = text.rfind("\n", 0, key.start_mark.index) + 1
    end = _line_end(text, _end(text, held) if held_start != held_end else held_end)
    return text[:at] + _block({key.value: value}, key.start_mark.column) + text[end:]


def _cut(text: str, path: tuple[str, ...]) -> str:
    node = _root(text)
    for key in path[:-1]:
        found = _entry(node, key)
        if found is None:
            return text
        node = found[1]
    found = _entry(node, path[-1])
    if found is None:
        return text
    if node.flow_style:
        at = node.value.index(found)
        start = node.value[at - 1][1].end_mark.index if at else found[0].start_mark.index
        end = found[1].end_mark.index
        if not at and len(node.value) > 1:
            end = node.value[1][0].start_mark.index
        return text[:start] + text[end:]
    start = text.rfind("\n", 0, found[0].start_mark.index) + 1
    return text[:start] + text[_line_end(text, _end(text, found[1])) :]


def _end(text: str, node: Any) -> int:
    """Where a value really ends: its last line with its comment, without the blank and comments that follow."""
    if not _is_scalar(node) and node.value and not node.flow_style:
        last = cast("list[Any]", node.value)[-1]
        return _end(text, last[1] if _is_mapping(node) else last)
    at: int = node.end_mark.index
    if text[:at].endswith("\n") and at > node.start_mark.index:
        return at
    newline = text.find("\n", at)
    return len(text) if newline < 0 else newline


def _line_end(text: str, at: int) -> int:
    if at and text[at - 1] == "\n":
        return at
    newline = text.find("\n", at)
    return len(text) if newline < 0 else newline + 1


def _block(value: Tree, indent: int) -> str:
    """Block style; every scalar as JSON writes it, which YAML reads the same."""
    lines: list[str] = []
    for key, held in value.items():
        lines += _lines(_plain(key) + ":", held, indent)
    return "".join(f"{line}\n" for line in lines)


def _lines(head: str, held: Any, indent: int) -> list[str]:
    pad = " " * indent
    if isinstance(held, dict) and held:
        lines = [f"{pad}{head}"]
        for key, inner in cast("Tree", held).items():
            lines += _lines(_plain(key) + ":", inner, indent + STEP)
        return lines
    if isinstance(held, list) and held:
        lines = [f"{pad}{head}"]
        for element in cast("list[Any]", held):
            inner = _lines("-", element, indent + STEP)
            if isinstance(element, dict):  # the first key goes beside its dash
                inner = [f"{pad}{' ' * STEP}- {inner[1].lstrip()}", *inner[2:]]
            lines += inner
        return lines
    return [f"{pad}{head} {_plain(held)}"]


def _plain(value: Any) -> str:
    """A scalar: bare where nothing could be misread, else quoted."""
    if isinstance(value, str) and _BARE.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
