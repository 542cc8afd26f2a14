"""One daemon for all clients, and the table that the run leaves behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.rig import stage
from tests.clients.table import Table
from tests.daemon import Stage


@pytest.fixture(scope="session")
def between() -> Iterator[Stage]:
    """The daemon between both fakes."""
    with stage() as made:
        yield made


@pytest.fixture(scope="session")
def table() -> Iterator[Table]:
    """What was seen, written to docs/clients.md when every cell is known."""
    made = Table()
    yield made
    made.write()
