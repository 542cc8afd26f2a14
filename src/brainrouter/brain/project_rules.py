"""What a project says of where its requests may go: `.brainrouter.yaml`, which may only tighten. Pure.

A file with anything in it that is not understood keeps everything local: who wrote it meant to hold something back.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from brainrouter.brain.named_files import BadGlob, FileGlob, file_glob

FILE = ".brainrouter.yaml"
MAX_RULES = 50
_TOP = ("route", "never_cloud", "rules")
_RULE = ("paths", "route", "never_cloud")


class BadRules(Exception):
    """What is wrong with a file of rules, naming the key."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`never` forbids the cloud, fallback included; otherwise local is where `auto` goes.

    Without `files` it holds for every request, else for those in which one of these files is named.
    """

    never: bool
    files: tuple[FileGlob, ...] = ()


@dataclass(frozen=True, slots=True)
class ProjectRules:
    """The rules of one file. `place` is the file, in words; `problem` says what makes it unusable, if anything."""

    place: str
    rules: tuple[Rule, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Hold:
    """What the rules make of one request. `why` completes "kept local by"; `named`: because a file is named in it."""

    never: bool
    why: str
    named: bool = False


def rules_of(tree: object, place: str) -> ProjectRules:
    """The rules in a file that was read as YAML. One that cannot be used comes back with its problem."""
    try:
        return ProjectRules(place, tuple(_rules(tree)))
    except BadRules as bad:
        return ProjectRules(place, problem=str(bad))


def hold(found: Sequence[ProjectRules], request: bytes) -> Hold | None:
    """The strictest of what these files say of a request, which is searched as it came."""
    soft: Hold | None = None
    for project in found:
        if project.problem:
            return Hold(True, f"{project.place}, which has a mistake: {project.problem}")
        for rule in project.rules:
            held = _held(rule, project.place, request) if rule.never or soft is None else None
            if held is not None and held.never:
                return held
            soft = soft or held
    return soft


def _held(rule: Rule, place: str, request: bytes) -> Hold | None:
    said = "never_cloud" if rule.never else "route: local"
    if not rule.files:
        return Hold(rule.never, f"{said} in {place}")
    name = next((name for glob in rule.files if (name := glob.named_in(request))), None)
    return None if name is None else Hold(rule.never, f"{said} in {place}: {name[:80]} is named", named=True)


def _rules(tree: object) -> list[Rule]:
    top = _section(tree, _TOP, "")
    rules = [] if (whole := _strength(top, "")) is None else [whole]
    listed: object = top.get("rules")
    if listed is None:
        return rules
    if not isinstance(listed, list):
        raise BadRules("key `rules`: expected a list")
    entries = cast("list[object]", listed)
    if len(entries) > MAX_RULES:
        raise BadRules(f"key `rules`: at most {MAX_RULES} of them")
    return rules + [
        rule for at, entry in enumerate(entries) if (rule := _rule(entry, f"rules[{at}].")) is not None
    ]


def _rule(entry: object, at: str) -> Rule | None:
    fields = _section(entry, _RULE, at)
    paths: object = fields.get("paths")
    if not isinstance(paths, list) or not paths:
        raise BadRules(f"key `{at}paths`: expected a list of file names")
    if "route" not in fields and "never_cloud" not in fields:
        raise BadRules(
            f"key `{at.rstrip('.')}`: expected `never_cloud: true` or `route: local` beside `paths`"
        )
    strength = _strength(fields, at)
    names = cast("list[object]", paths)[: MAX_RULES + 1]
    if len(names) > MAX_RULES:
        raise BadRules(f"key `{at}paths`: at most {MAX_RULES} of them")
    files = tuple(_glob(name, f"{at}paths") for name in names)
    return None if strength is None else replace(strength, files=files)


def _glob(name: object, at: str) -> FileGlob:
    if not isinstance(name, str):
        raise BadRules(f"key `{at}`: expected file names as text")
    try:
        return file_glob(name)
    except BadGlob as bad:
        raise BadRules(f"key `{at}`: {bad}") from None


def _strength(fields: dict[str, Any], at: str) -> Rule | None:
    """The strongest of `never_cloud` and `route` in a section."""
    never: object = fields.get("never_cloud", False)
    route: object = fields.get("route", "auto")
    if not isinstance(never, bool):
        raise BadRules(f"key `{at}never_cloud`: expected true or false")
    if route not in ("local", "auto"):
        raise BadRules(
            f"key `{at}route`: expected local or auto; a project may keep work here, not send it away"
        )
    if never:
        return Rule(True)
    return Rule(False) if route == "local" else None


def _section(tree: object, known: Sequence[str], at: str) -> dict[str, Any]:
    if tree is None and not at:
        return {}
    if not isinstance(tree, dict):
        what = f"key `{at.rstrip('.')}`: expected" if at else "expected"
        raise BadRules(f"{what} keys such as `never_cloud: true`")
    fields = cast("dict[object, Any]", tree)
    for key in fields:
        if key not in known:
            close = difflib.get_close_matches(str(key)[:60], known, n=1)
            hint = f"; did you mean `{close[0]}`?" if close else ""
            raise BadRules(f"key `{at}{str(key)[:60]}` is not known{hint}")
    return cast("dict[str, Any]", fields)
