"""Each row of the fault catalogue, around the real daemon."""

from __future__ import annotations

import pytest

from tests.faults import classifier_rows, client_input, client_rows, upstream_answers, upstream_rows
from tests.faults.catalogue import Row, Trial, marked

ROWS = (
    *upstream_rows.ROWS,
    *upstream_answers.ROWS,
    *client_rows.ROWS,
    *client_input.ROWS,
    *classifier_rows.ROWS,
)


@pytest.mark.parametrize("row", marked(ROWS))
def test_it_survives(row: Row, trial: Trial) -> None:
    row.run(trial)
