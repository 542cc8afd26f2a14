"""The whole run itself: what it keeps, what it does again, and what its page says."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults import table
from tests.faults.catalogue import OUTCOMES, Outcome, Row, trial_of
from tests.faults.soak import fitted
from tests.faults.whole import WholeRun, fingerprint


def row(name: str = "U1") -> Row:
    return Row(name, f"fault {name}", "it holds", "quick", lambda trial: None)


@pytest.fixture(autouse=True)
def outcomes() -> Iterator[None]:
    """The rows of this test are not those of the run that it is in."""
    others = dict(OUTCOMES)
    OUTCOMES.clear()
    yield
    OUTCOMES.clear()
    OUTCOMES.update(others)


class Here:
    """A whole run of some rows, as pytest would drive it."""

    def __init__(self, kept: Path, rows: list[Row], *, share: float = 1.0, anew: bool = False) -> None:
        self.run = WholeRun(share, anew=anew, kept=kept)
        self.items: list[Any] = [_Item(one) for one in rows]
        config: Any = _Config()
        self.run.pytest_collection_modifyitems(config, self.items)
        self.share = share

    @property
    def chosen(self) -> list[str]:
        return [item.callspec.params["row"].id for item in self.items]

    def ends(self, name: str, wrong: str = "") -> None:
        OUTCOMES[name] = Outcome(row(name), self.share, tried=3, wrong=wrong, ended=True)
        self.run.pytest_runtest_logfinish(name)


class _Item:
    def __init__(self, one: Row) -> None:
        self.nodeid, self.callspec = one.id, _Callspec(one)


class _Callspec:
    def __init__(self, one: Row) -> None:
        self.params = {"row": one}


class _Config:
    """As much of pytest's as the run asks for."""

    def __init__(self) -> None:
        self.hook = self.pluginmanager = self

    def pytest_deselected(self, items: list[Any]) -> None:
        del items

    def get_plugin(self, name: str) -> None:
        del name


def told(kept: Path, name: str) -> dict[str, Any]:
    return json.loads((kept / f"{name}.json").read_text(encoding="utf-8"))


ROWS = [row("U1"), row("U2"), row("U3")]


def test_a_run_that_was_broken_off_goes_on_with_what_has_not_held(tmp_path: Path) -> None:
    first = Here(tmp_path, ROWS)
    assert first.chosen == ["U1", "U2", "U3"]
    first.ends("U1")
    first.ends("U2", wrong="it broke")
    assert Here(tmp_path, ROWS).chosen == ["U2", "U3"]


def test_once_all_have_held_the_next_run_begins_anew(tmp_path: Path) -> None:
    first = Here(tmp_path, ROWS)
    for one in ROWS:
        first.ends(one.id)
    assert Here(tmp_path, ROWS).chosen == ["U1", "U2", "U3"]
    assert Here(tmp_path, ROWS).chosen == ["U1", "U2", "U3"]  # nothing of it has been run yet


def test_what_held_can_be_asked_for_again(tmp_path: Path) -> None:
    Here(tmp_path, ROWS).ends("U1")
    assert Here(tmp_path, ROWS, anew=True).chosen == ["U1", "U2", "U3"]


def test_a_smaller_share_does_not_count_for_a_larger_one(tmp_path: Path) -> None:
    Here(tmp_path, ROWS, share=0.1).ends("U1")
    assert Here(tmp_path, ROWS).chosen == ["U1", "U2", "U3"]
    assert Here(tmp_path, ROWS, share=0.1).chosen == ["U2", "U3"]


def test_what_held_on_other_code_is_run_again(tmp_path: Path) -> None:
    Here(tmp_path, ROWS).ends("U1")
    (tmp_path / "U1.json").write_text(
        json.dumps(told(tmp_path, "U1") | {"code": "another"}), encoding="utf-8"
    )
    assert Here(tmp_path, ROWS).chosen == ["U1", "U2", "U3"]


def test_a_row_that_held_only_the_second_time_says_so(tmp_path: Path) -> None:
    Here(tmp_path, ROWS).ends("U1", wrong="it broke")
    Here(tmp_path, ROWS).ends("U1")
    kept = told(tmp_path, "U1")
    assert (kept["wrong"], kept["earlier"]) == ("", ["it broke"])
    page = table.page([kept])
    assert "held; failed before: it broke" in page
    assert "| rows that held only when run again on the same code | 1 |" in page


def test_the_page_says_of_what_and_when_it_tells(tmp_path: Path) -> None:
    run = Here(tmp_path, ROWS)
    run.ends("U1")
    kept = told(tmp_path, "U1")
    assert "Every row at its full repetitions." in table.page([kept])
    assert kept["commit"] in table.page([kept])
    older = kept | {"id": "U2", "commit": "0123456", "at": "2001-01-01 00:00", "share": 0.1}
    page = table.page([kept, older])
    assert "2001-01-01 to " in page
    assert "0123456 (1 rows)" in page
    assert "Not at its full repetitions: U2." in page
    assert "(of 0123456) (a share of 0.1)" in page


def test_a_time_beyond_its_limit_is_told_and_fails_nothing() -> None:
    with contextlib.ExitStack() as shelf, trial_of(row(), {}, shelf, whole=True) as trial:
        trial.within("quick", 5, 10, "ms")
        trial.within("slow", 11, 10, "ms")
    found = OUTCOMES["U1"]
    assert found.figures == {"quick": "5 ms (at most 10)", "slow": "11 ms (MISSED: at most 10)"}
    assert found.bounds == {"quick": True, "slow": False}


def test_any_change_of_the_code_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "src" / "a.py"
    file.parent.mkdir()
    file.write_text("a = 1\n", encoding="utf-8")
    before = fingerprint(tmp_path, ["src"])
    assert fingerprint(tmp_path, ["src"]) == before
    file.write_text("a = 2\n", encoding="utf-8")
    assert fingerprint(tmp_path, ["src"]) != before


def test_a_line_is_fitted_through_points_with_its_error() -> None:
    exact = fitted([(0, 1.0), (1, 3.0), (2, 5.0)])
    assert (exact.slope, exact.error) == (2.0, 0.0)
    noisy = fitted([(at, at % 2) for at in range(100)])
    assert abs(noisy.slope) < 0.01 < noisy.error * 10
