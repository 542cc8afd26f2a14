"""What every test gets: property tests without a per-example clock, since the machine's load is not their subject.

And `--whole`, for the catalogue of faults and attacks: every row of it, as often as it says, and the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

pytest.register_assert_rewrite("tests.faults", "tests.attacks")  # their asserts are not in files of tests

from tests.faults.catalogue import Row, ended  # noqa: E402
from tests.faults.whole import WholeRun  # noqa: E402

set_hypothesis_home_dir(".cache/hypothesis")
settings.register_profile(
    "house", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--whole", action="store_true", help="run the whole catalogue of faults and attacks")
    parser.addoption("--share", type=float, default=1.0, help="of its repetitions: 0.1 where time is short")
    parser.addoption("--soak-min", type=float, default=10.0, help="how long its soak is, in minutes")
    parser.addoption("--anew", action="store_true", help="also the rows that held on this very code already")


def pytest_configure(config: pytest.Config) -> None:
    """Let a whole run keep what it found, and tell of it."""
    if config.getoption("--whole"):
        share, anew = float(config.getoption("--share") or 1), bool(config.getoption("--anew"))
        config.pluginmanager.register(WholeRun(share, anew=anew), "whole")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long rows of the catalogue to `make faults`."""
    if config.getoption("--whole"):
        return
    long = [item for item in items if item.get_closest_marker("whole")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if not item.get_closest_marker("whole")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Tell the table how the function of a row ended."""
    row: Any = getattr(item, "funcargs", {}).get("row")
    try:
        yield
    except BaseException as error:
        if isinstance(row, Row):
            ended(row, error)
        raise
    if isinstance(row, Row):
        ended(row, None)
