"""One file of a harness: its text before and after our edits, whatever its format, checked by reading it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from brainrouter.harness import json_edit, toml_edit, yaml_edit
from brainrouter.harness.block_edit import Block, with_block, without_block
from brainrouter.harness.edit import (
    MISSING,
    CannotEdit,
    Edit,
    Item,
    Tree,
    Undo,
    look,
    settled,
    undo_steps,
    with_edits,
    without_edits,
)  # fmt: skip

Format = Literal["json", "toml", "yaml", "block"]
BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class _Engine:
    read: Callable[[str], Tree]
    put: Callable[[str, Edit], str]
    undo: Callable[[str, Undo, Tree], str]


_ENGINES = {
    "json": _Engine(json_edit.read, json_edit.put, json_edit.undo),
    "toml": _Engine(toml_edit.read, toml_edit.put, toml_edit.undo),
    "yaml": _Engine(yaml_edit.read, yaml_edit.put, yaml_edit.undo),
}


@dataclass(frozen=True, slots=True)
class Document:
    """A file of the user's, and what we want in it.

    `first_of` are names that a harness reads in the same folder: the first that exists is the file to edit.
    """

    path: str
    format: Format
    edits: tuple[Edit, ...] = ()
    block: Block | None = None
    first_of: tuple[str, ...] = ()

    def install(self, text: str) -> str:
        """The text with our edits. Raises CannotEdit when that cannot be done without a doubt."""
        return _keeping_style(text, self._install)

    def uninstall(self, text: str, before: str, after: str) -> str:
        """The text without our edits; `before` and `after` are the texts around our installation."""
        return _keeping_style(text, lambda plain: self._uninstall(plain, _plain(before), _plain(after)))

    def installed(self, text: str) -> bool:
        """Whether all our edits are in the text. Raises CannotEdit for a text that cannot be read."""
        return self.install(text) == text

    def traces(self, text: str) -> list[str]:
        """What in a text bears our name: its keys, for a status or a check."""
        if self.block is not None:
            return [self.block.begin] if self.block.begin in text else []
        tree = _ENGINES[self.format].read(_plain(text))
        return [".".join(edit.path) for edit in self.edits if _bears_our_name(tree, edit)]

    def _install(self, text: str) -> str:
        if self.block is not None:
            return with_block(text, self.block)
        engine = _ENGINES[self.format]
        tree = engine.read(text)
        wanted = with_edits(tree, self.edits)
        if wanted == tree:
            return text
        for edit in self.edits:
            text = engine.put(text, edit)
        return _checked(engine, text, wanted)

    def _uninstall(self, text: str, before: str, after: str) -> str:
        if self.block is not None:
            return without_block(text, self.block)
        engine = _ENGINES[self.format]
        tree, old = engine.read(text), engine.read(before)
        steps = undo_steps(tree, self.edits, old, engine.read(after))
        wanted = without_edits(tree, steps, old)
        for step in steps:
            text = engine.undo(text, step, old)
        return _checked(engine, text, wanted)


def _bears_our_name(tree: Tree, edit: Edit) -> bool:
    held = look(tree, edit.path)
    if isinstance(edit, Item):
        return isinstance(held, list) and any(map(edit.fits, cast("list[object]", held)))
    named = edit.owned or (isinstance(edit.value, str) and "brainrouter" in edit.value and held == edit.value)
    return held is not MISSING and named


def _checked(engine: _Engine, text: str, wanted: Tree) -> str:
    """The text, if it says what was meant and nothing else."""
    try:
        got = engine.read(text)
    except CannotEdit as error:
        raise CannotEdit(f"editing it would break it ({error}); please edit it by hand") from error
    if settled(got) != settled(wanted):
        raise CannotEdit("it is written in a way that cannot be edited safely; please edit it by hand")
    return text


def _plain(text: str) -> str:
    return text.removeprefix(BOM).replace("\r\n", "\n")


def _keeping_style(text: str, change: Callable[[str], str]) -> str:
    """A byte order mark and CRLF line ends survive, and an unchanged text is the same text."""
    plain = _plain(text)
    changed = change(plain)
    if changed == plain:
        return text
    if "\r\n" in text:
        if text.count("\n") != text.count("\r\n"):
            raise CannotEdit("it mixes two kinds of line ends; save it with one kind first")
        changed = changed.replace("\n", "\r\n")
    return (BOM if text.startswith(BOM) else "") + changed
