"""Each row of the fault catalogue, around the real daemon."""

from __future__ import annotations

import pytest

from tests.faults import classifier_rows as classifier
from tests.faults import client_input, soak, system_lives, system_rows
from tests.faults import client_rows as client
from tests.faults import upstream_answers as answers
from tests.faults import upstream_rows as upstream
from tests.faults import upstream_shapes as shapes
from tests.faults.catalogue import Row, Trial, marked

ROWS = [
    row
    for room in (upstream, answers, shapes, client, client_input, classifier, system_rows, system_lives, soak)
    for row in room.ROWS
]


@pytest.mark.parametrize("row", marked(ROWS))
def test_it_survives(row: Row, trial: Trial) -> None:
    row.run(trial)
