"""What can be done to a configuration, told apart from how each format writes it down."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

Tree = dict[str, Any]
MISSING: Any = object()


class CannotEdit(Exception):
    """Why a configuration cannot be edited safely, in words for the user."""


@dataclass(frozen=True, slots=True)
class Put:
    """The value at a path of keys. `owned` is a key that bears our name: it goes on uninstall, whatever it holds."""

    path: tuple[str, ...]
    value: Any
    owned: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """An element of the list at a path, known by some of its own keys."""

    path: tuple[str, ...]
    known_by: tuple[str, ...]
    value: Tree

    def fits(self, element: object) -> bool:
        """Whether a list's element is this one, whatever else it holds."""
        if not isinstance(element, dict):
            return False
        held = cast("Tree", element)
        return all(held.get(key, MISSING) == self.value[key] for key in self.known_by)


Edit = Put | Item


def with_edits(tree: Tree, edits: Sequence[Edit]) -> Tree:
    """The configuration as it is meant to be. Raises CannotEdit where the user keeps something else at our path."""
    result = copy.deepcopy(tree)
    for edit in edits:
        place = _place(result, edit.path)
        last = edit.path[-1]
        if isinstance(edit, Put):
            place[last] = copy.deepcopy(edit.value)
            continue
        elements = place.setdefault(last, [])
        if not isinstance(elements, list):
            raise CannotEdit(f"`{'.'.join(edit.path)}` is expected to be a list")
        held = cast("list[Any]", elements)
        found = next((at for at, element in enumerate(held) if edit.fits(element)), None)
        if found is None:
            held.append(copy.deepcopy(edit.value))
        else:
            held[found] = copy.deepcopy(edit.value)
    return result


def _place(tree: Tree, path: tuple[str, ...]) -> Tree:
    place = tree
    for at, key in enumerate(path[:-1], 1):
        inner = place.get(key)
        if inner is None:
            inner = place[key] = {}
        if not isinstance(inner, dict):
            raise CannotEdit(f"`{'.'.join(path[:at])}` is expected to be a section with keys")
        place = cast("Tree", inner)
    return place


def look(tree: object, path: tuple[str, ...]) -> Any:
    """The value at a path, or MISSING."""
    for key in path:
        if not isinstance(tree, dict) or key not in tree:
            return MISSING
        tree = cast("Tree", tree)[key]
    return tree


@dataclass(frozen=True, slots=True)
class Undo:
    """One step back: the value that a path or a list's element gets again; MISSING takes it away."""

    edit: Edit
    value: Any


def undo_steps(current: Tree, edits: Sequence[Edit], before: Tree, after: Tree) -> list[Undo]:
    """The steps from `current` to what the user would have without us.

    `before` and `after` are the configuration around our installation. What the user has changed since is left alone,
    unless it bears our name.
    """
    steps: list[Undo] = []
    for edit in reversed(edits):
        if isinstance(edit, Item):
            if _element(current, edit) is not MISSING:
                steps.append(Undo(edit, _element(before, edit)))
            continue
        now = look(current, edit.path)
        if now is not MISSING and (edit.owned or now == look(after, edit.path)):
            steps.append(Undo(edit, look(before, edit.path)))
    return steps


def without_edits(current: Tree, steps: Sequence[Undo], before: Tree) -> Tree:
    """The configuration after the steps; sections and lists that only we had made go, too."""
    result = copy.deepcopy(current)
    for step in steps:
        path = step.edit.path
        place = cast("Tree", look(result, path[:-1]))
        if isinstance(step.edit, Put):
            _set(place, path[-1], step.value)
        else:
            held = cast("list[Any]", place[path[-1]])
            at = next(at for at, element in enumerate(held) if step.edit.fits(element))
            held[at : at + 1] = [] if step.value is MISSING else [copy.deepcopy(step.value)]
        for path_above in leftovers(result, before, step.edit):
            del cast("Tree", look(result, path_above[:-1]))[path_above[-1]]
    return result


def leftovers(tree: Tree, before: Tree, edit: Edit) -> list[tuple[str, ...]]:
    """The empty sections and lists on an edit's path that were not there before, innermost first."""
    path = edit.path
    lengths = range(len(path) if isinstance(edit, Item) else len(path) - 1, 0, -1)
    found: list[tuple[str, ...]] = []
    for length in lengths:
        inner = look(tree, path[:length])
        emptied = inner in ({}, []) or (bool(found) and len(cast("Tree", inner)) == 1)
        if inner is MISSING or not emptied or look(before, path[:length]) is not MISSING:
            break
        found.append(path[:length])
    return found


def _set(place: Tree, key: str, value: Any) -> None:
    if value is MISSING:
        del place[key]
    else:
        place[key] = copy.deepcopy(value)


def _element(tree: Tree, item: Item) -> Any:
    held = look(tree, item.path)
    elements = cast("list[Any]", held) if isinstance(held, list) else []
    return next((element for element in elements if item.fits(element)), MISSING)


def settled(value: Any) -> Any:
    """The configuration with every empty section and list as null: to a harness they are the same."""
    if isinstance(value, dict):
        tree = cast("Tree", value)
        return {key: settled(inner) for key, inner in tree.items()} or None
    if isinstance(value, list):
        return [settled(inner) for inner in cast("list[Any]", value)] or None
    return value
