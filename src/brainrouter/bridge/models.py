"""Which model a name in a chat means: an alias, one of the daemon's, or a near miss. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from brainrouter.bridge.grammar import MODEL

PREFIX = "brainrouter/"


@dataclass(frozen=True, slots=True)
class Found:
    """`model` is the daemon's name for it; without one, `near` may say what was meant."""

    model: str | None
    near: str | None = None


def find(name: str, known: Iterable[str], aliases: Mapping[str, str]) -> Found:
    """Resolve a name: aliases first, then the daemon's models, in any case of letters."""
    wanted = name.removeprefix(PREFIX)
    spelt = {alias.lower(): model for alias, model in aliases.items()}
    wanted = spelt.get(wanted.lower(), wanted).removeprefix(PREFIX)
    rows = list(known)
    if wanted in rows:
        return Found(wanted)
    same = [row for row in rows if row.lower() == wanted.lower()]
    if len(same) == 1:
        return Found(same[0])
    near = difflib.get_close_matches(wanted, [*rows, *aliases], n=1)
    return Found(None, near[0] if near else None)


def usable(name: str) -> bool:
    """Whether it can be a model's name at all."""
    return bool(MODEL.fullmatch(name))
