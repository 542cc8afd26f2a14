"""Each row of the attack catalogue, against the real daemon."""

from __future__ import annotations

import pytest

from tests.attacks import (
    command_rows,
    machine_rows,
    page_rows,
    repository_rows,
    review_rows,
    secret_rows,
    upstream_rows,
)
from tests.faults.catalogue import Row, Trial, marked

ROWS = (
    *page_rows.ROWS,
    *review_rows.ROWS,
    *repository_rows.ROWS,
    *secret_rows.ROWS,
    *upstream_rows.ROWS,
    *machine_rows.ROWS,
    *command_rows.ROWS,
)


@pytest.mark.parametrize("row", marked(ROWS))
def test_it_withstands(row: Row, trial: Trial) -> None:
    row.run(trial)
