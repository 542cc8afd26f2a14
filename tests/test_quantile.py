"""A quantile grows with its share, also over two values."""

from __future__ import annotations

import pytest

from brainrouter.quantile import quantile


@pytest.mark.parametrize(
    ("values", "share", "told"),
    [([7.0], 0.5, 7.0), ([7.0], 0.95, 7.0), ([1.0, 3.0], 0.5, 2.0), ([0.0, 100.0], 0.95, 95.0),
     ([1.0, 2.0, 9.0], 0.5, 2.0), ([1.0, 2.0, 9.0], 0.0, 1.0), ([1.0, 2.0, 9.0], 1.0, 9.0)],
)  # fmt: skip
def test_it_lies_between_the_two_nearest_values(values: list[float], share: float, told: float):
    assert quantile(values, share) == pytest.approx(told)


@pytest.mark.parametrize("many", range(1, 30))
def test_more_of_them_never_lie_below_less(many: int):
    values = [float(number * number) for number in range(many)]
    told = [quantile(values, percent / 100) for percent in range(101)]
    assert told == sorted(told)
