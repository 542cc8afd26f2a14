"""What a check found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from brainrouter.config import Settings
from brainrouter.harness.target import Target

Level = Literal["ok", "note", "fault"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One result. `check` is a stable name for scripts; `mend` is a command, or words where no command can do it."""

    check: str
    level: Level
    what: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """What is examined: the user's settings, environment and daemon. `health` is None when no daemon answers."""

    settings: Settings
    mentioned: frozenset[str]
    config_file: Path
    env: Mapping[str, str]
    socket: Path
    target: Target
    health: Mapping[str, object] | None
    trouble: str | None

    def counts_on(self, section: str, part: str) -> bool:
        """Whether a backend is one that somebody asked for: configured, or used by the running daemon."""
        return section in self.mentioned or "url" in self.part(part)

    def part(self, name: str) -> Mapping[str, Any]:
        """A part of /health; empty without a daemon."""
        held = (self.health or {}).get(name)
        return cast("dict[str, Any]", held) if isinstance(held, dict) else {}


def ok(check: str, what: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", what)


def note(check: str, what: str, mend: str = "") -> Finding:
    """It works, with less than could be had."""
    return Finding(check, "note", what, mend)


def fault(check: str, what: str, mend: str) -> Finding:
    """It does not work."""
    return Finding(check, "fault", what, mend)
