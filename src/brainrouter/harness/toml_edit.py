"""Edits of TOML with tomlkit, which keeps comments and order."""

from __future__ import annotations

import tomllib
from typing import Any, cast

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT

from brainrouter.harness.edit import MISSING, CannotEdit, Item, Put, Tree, Undo, leftovers


def read(text: str) -> Tree:
    """The configuration. Raises CannotEdit that names line and column."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CannotEdit(str(error)) from error


def put(text: str, edit: Put | Item) -> str:
    """The text with one edit made."""
    if _is_made(read(text), edit):
        return text
    document = _parse(text)
    place: Any = document
    for key in edit.path[:-1]:
        if key not in place:
            place[key] = tomlkit.table(is_super_table=True)
        place = place[key]
    last = edit.path[-1]
    if isinstance(edit, Put):
        value = edit.value
        place[last] = _table(cast("Tree", value)) if isinstance(value, dict) else value
    else:
        _put_item(place, last, edit)
    return tomlkit.dumps(document)


def undo(text: str, step: Undo, before: Tree) -> str:
    """The text with one edit taken back."""
    edit = step.edit
    if step.value is not MISSING:
        back = (
            Put(edit.path, step.value)
            if isinstance(edit, Put)
            else Item(edit.path, edit.known_by, step.value)
        )
        return put(text, back)
    document = _parse(text)
    place = _place(document, edit.path[:-1])
    if isinstance(edit, Put):
        del place[edit.path[-1]]
    else:
        held = place[edit.path[-1]]
        del held[next(at for at, element in enumerate(held.unwrap()) if edit.fits(element))]
    for path in leftovers(document.unwrap(), before, edit):
        del _place(document, path[:-1])[path[-1]]
    return tomlkit.dumps(document)


def _is_made(tree: Tree, edit: Put | Item) -> bool:
    held: Any = tree
    for key in edit.path:
        if not isinstance(held, dict) or key not in held:
            return False
        held = cast("Tree", held)[key]
    if isinstance(edit, Put):
        return held == edit.value
    return isinstance(held, list) and edit.value in held


def _parse(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise CannotEdit(str(error)) from error


def _place(document: tomlkit.TOMLDocument, path: tuple[str, ...]) -> Any:
    place: Any = document
    for key in path:
        place = place[key]
    return place


def _put_item(place: Any, last: str, edit: Item) -> None:
    if last not in place:
        place[last] = tomlkit.aot()
    held: Any = place[last]
    if isinstance(held, AoT):
        value: Any = _table(edit.value)
        value.trivia.indent = "\n"  # a blank line before its head
    else:
        value = tomlkit.inline_table()
        value.update(edit.value)
    elements: Any = held
    found = next((at for at, element in enumerate(elements.unwrap()) if edit.fits(element)), None)
    if found is None:
        elements.append(value)
    else:
        elements[found] = value


def _table(value: Tree) -> Any:
    table = tomlkit.table()
    for key, inner in value.items():
        table[key] = _table(cast("Tree", inner)) if isinstance(inner, dict) else inner
    return table
