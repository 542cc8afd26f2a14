"""The measures of routing, on sets where the right value can be told by hand."""

from __future__ import annotations

import math
import random

import pytest

from brainrouter.brain.quality import apgr, auc, curve, ece, interval, lift, quality, share_needed

SMALL, LARGE = [1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]
BEST, WORST = [0.1, 0.2, 0.8, 0.9], [0.9, 0.8, 0.2, 0.1]


def test_the_area_is_the_share_of_pairs_in_the_right_order() -> None:
    chance = random.Random(1)
    scores = [chance.choice((0.1, 0.2, 0.3)) for _ in range(60)]
    truth = [chance.random() < 0.5 for _ in range(60)]
    pairs = [(a, b) for a, won in zip(scores, truth, strict=True) if won
             for b, lost in zip(scores, truth, strict=True) if not lost]  # fmt: skip
    wanted = sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs)
    assert auc(scores, [float(won) for won in truth], [float(not won) for won in truth]) == pytest.approx(
        wanted
    )
    assert math.isnan(auc([0.5], [1.0], [0.0]))


def test_the_best_order_recovers_the_gap_first_and_a_tie_recovers_half() -> None:
    assert curve(BEST, SMALL, LARGE)[:3] == [(0.0, 0.5), (0.25, 0.75), (0.5, 1.0)]
    assert apgr(BEST, SMALL, LARGE) == pytest.approx(0.75)
    assert apgr(WORST, SMALL, LARGE) == pytest.approx(0.25)
    assert apgr([0.5] * 4, SMALL, LARGE) == pytest.approx(0.5)


def test_the_share_needed_lies_on_the_line_between_two_points() -> None:
    assert share_needed([(0.0, 0.5), (0.5, 1.0)], 0.75) == pytest.approx(0.25)
    assert share_needed([(0.0, 0.9)], 0.8) == 0
    assert share_needed([(0.0, 0.1), (1.0, 0.2)], 0.8) == 1


def test_lift_is_over_a_random_router() -> None:
    assert lift(BEST, SMALL, LARGE, 0.95) == pytest.approx(45)
    assert lift([0.5] * 4, SMALL, LARGE, 0.95) == pytest.approx(0)


def test_calibration_is_the_gap_between_said_and_seen() -> None:
    assert ece([0.25, 0.25, 0.25, 0.25], [1, 0, 0, 0]) == pytest.approx(0)
    assert ece([0.9, 0.9], [0, 0]) == pytest.approx(0.9)


def test_without_a_cloud_outcome_only_the_local_side_is_judged() -> None:
    found = quality(BEST, [0.9, 0.8, 0.2, 0.1], SMALL, [])
    assert found.auc_local == 1
    assert math.isnan(found.apgr)
    assert math.isnan(found.lift95)


def test_an_interval_holds_the_measure_and_is_the_same_again() -> None:
    found = interval(lambda picked: sum(picked) / len(picked), 200)
    assert found[0] < 99.5 < found[1]
    assert found == interval(lambda picked: sum(picked) / len(picked), 200)
    assert all(map(math.isnan, interval(lambda _: math.nan, 5)))
