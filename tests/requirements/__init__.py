"""What was promised, and the tests that hold it. tests/test_requirements.py keeps both sides true.

A holder is `folder/file` (as in tests/folder/test_file.py), with `:beginning_of_a_name` for some of its tests, or
`row:A1` for a row of the catalogue of faults and attacks.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Requirement:
    """One promise in few words. What is not met yet names the issue it waits for."""

    id: str
    promise: str
    holders: tuple[str, ...]
    waits_for: str = ""


def held(id: str, promise: str, *holders: str) -> Requirement:
    """A promise that is kept."""
    return Requirement(id, promise, holders)


def waiting(id: str, promise: str, issue: str, *holders: str) -> Requirement:
    """A promise that is not kept, or not in full; `holders` hold what is."""
    return Requirement(id, promise, holders, issue)
