"""One YAML file as a tree of sections, and the line where each key stands. Every error names the file."""

from __future__ import annotations

import contextlib
import re
import stat
from pathlib import Path
from typing import Any, cast

import yaml

Tree = dict[str, Any]


class ConfigError(Exception):
    """A configuration that cannot be used. The text names the file, the line, the key and what was expected."""


def is_there(file: Path) -> bool:
    """Whether there is such a file; a place that cannot be looked at is an error, not a no."""
    try:
        return stat.S_ISREG(file.stat().st_mode)  # is_file() of Python 3.14 says no where it cannot look
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:  # a folder that we may not enter, for one
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error


def read_text(file: Path) -> str:
    """The whole file."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 text (byte {error.start})") from error


def read_yaml(text: str) -> Any:
    """What YAML text holds. Raises ValueError, which says where it cannot be read."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise ValueError(f"{where} {problem}") from error
    except (ValueError, RecursionError) as error:
        # A date that is none, a number that is none, deep nesting: not the parser's errors but its callees'.
        raise ValueError(f" not YAML that can be read: {error}") from error


def parsed(text: str, file: Path) -> Tree:
    """The sections of `text`, which is the content of `file`."""
    try:
        tree = read_yaml(text)
    except ValueError as error:
        raise ConfigError(f"{file}:{error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{file}: expected sections such as `manifest:`, found {_kind(tree)}")
    return cast("Tree", tree)


def merged(under: Tree, over: Tree) -> Tree:
    """Both, section by section and key by key; `over` wins."""
    both = dict(under)
    for key, value in over.items():
        held = both.get(key)
        if isinstance(value, dict) and isinstance(held, dict):
            both[key] = merged(cast("Tree", held), cast("Tree", value))
        else:
            both[key] = value
    return both


def line_of(text: str, key: str) -> int | None:
    """The line on which `key` (as `bridge.discord.token` or `manifest.protocols[0]`) stands, or its nearest section."""
    found: int | None = None
    with contextlib.suppress(yaml.YAMLError, ValueError, RecursionError):
        node = cast("Any", yaml.compose(text, Loader=yaml.SafeLoader))  # pyright: ignore[reportUnknownMemberType]
        for part in re.findall(r"[^.\[\]]+", key):
            if not isinstance(node, yaml.MappingNode):
                break
            pairs = cast("list[tuple[Any, Any]]", node.value)
            held = next((pair for pair in pairs if pair[0].value == part), None)
            if held is None:
                break
            found, node = held[0].start_mark.line + 1, held[1]
    return found


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice, since the second would silently win."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            return super().construct_mapping(node, deep=deep)  # refused there, with its line
        seen: set[str] = set()
        for key_node, _ in cast("list[tuple[Any, Any]]", node.value):
            key = str(key_node.value)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key `{key}` is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _kind(value: object) -> str:
    return "a list" if isinstance(value, list) else "text" if isinstance(value, str) else type(value).__name__
