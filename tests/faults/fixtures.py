"""Fixtures of the rows, for tests/faults and tests/attacks; their conftest.py import them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.catalogue import Row, Trial, trial_of

Shelf = tuple[dict[str, Any], contextlib.ExitStack]


@pytest.fixture(scope="session")
def shelf() -> Iterator[Shelf]:
    """What rows share, made when first asked for and closed at the end."""
    with contextlib.ExitStack() as stack:
        yield {}, stack


@pytest.fixture
def trial(row: Row, shelf: Shelf, request: pytest.FixtureRequest) -> Iterator[Trial]:
    """The trial of the test's `row`."""
    shared, stack = shelf
    whole, share = request.config.getoption("--whole"), request.config.getoption("--share")
    soak_s = 60.0 * float(request.config.getoption("--soak-min") or 0) * min(1.0, float(share or 1))
    with trial_of(row, shared, stack, whole=bool(whole), share=float(share or 1), soak_s=soak_s) as made:
        yield made
