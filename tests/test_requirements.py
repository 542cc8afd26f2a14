"""Every promise is held by tests that exist, and every row of the catalogue holds a promise. Reads; runs nothing."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.attacks.test_attacks import ROWS as ATTACKS
from tests.faults.test_faults import ROWS as FAULTS
from tests.requirements import Requirement, house, product

TESTS = Path(__file__).parent
REQUIREMENTS: tuple[Requirement, ...] = (*product.ROWS, *house.ROWS)
CATALOGUE = {row.id for row in (*FAULTS, *ATTACKS)}
# How a test names a promise in its own file: `requirement: fail.breaker`.
MENTION = re.compile(r"\brequirement: ([a-z]+(?:\.[a-z]+)*)")


@cache
def names_in(file: str) -> tuple[str, ...]:
    """The names of the tests of `folder/name`, without `test_`."""
    folder, _, name = file.rpartition("/")
    path = TESTS / folder / f"test_{name}.py"
    return (
        tuple(re.findall(r"^def test_(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        if path.is_file()
        else ()
    )


def exists(holder: str) -> bool:
    """Whether there is such a test, or such a row."""
    if holder.startswith("row:"):
        return holder.removeprefix("row:") in CATALOGUE
    file, _, start = holder.partition(":")
    return any(name.startswith(start) for name in names_in(file))


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.id)
def test_a_promise_is_held_by_tests_that_exist(requirement: Requirement) -> None:
    assert requirement.holders
    assert [holder for holder in requirement.holders if not exists(holder)] == []


def test_no_promise_is_made_twice() -> None:
    ids = [requirement.id for requirement in REQUIREMENTS]
    assert sorted(set(ids)) == sorted(ids)


def test_every_row_of_the_catalogue_holds_a_promise() -> None:
    named = {holder.removeprefix("row:") for one in REQUIREMENTS for holder in one.holders}
    assert CATALOGUE - named == set()


def test_every_promise_that_a_test_names_is_in_the_table() -> None:
    known = {requirement.id for requirement in REQUIREMENTS}
    files = [path for path in TESTS.rglob("*.py") if path != Path(__file__)]
    named = {name for path in files for name in MENTION.findall(path.read_text(encoding="utf-8"))}
    assert named - known == set()


def test_what_is_not_kept_yet_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    open_ones = [one for one in REQUIREMENTS if one.waits_for]
    with capsys.disabled():
        for one in open_ones:
            print(f"\n  not kept yet, waits for issue {one.waits_for}: {one.id}: {one.promise}", end="")
    assert all(one.waits_for.isdigit() for one in open_ones)
