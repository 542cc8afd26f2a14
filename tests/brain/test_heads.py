"""The shipped heads: what they promise of every score, and that a wrong artefact is refused."""

from __future__ import annotations

import numpy as np
import pytest

from brainrouter.adapters.eval_set import shipped_turns
from brainrouter.adapters.heads_file import load_curve, load_heads
from brainrouter.brain.cascade import moved
from brainrouter.brain.heads import EDGE, LEAF, Forest, Heads, Score, logit, sigmoid
from brainrouter.brain.shape import Tool, names, shape

TEXTS = [turn.text for turn in shipped_turns()]


@pytest.fixture(scope="module")
def heads() -> Heads:
    return load_heads()


@pytest.mark.parametrize(
    "text", [*TEXTS[::9], "", " ", "\x00", "\ud800".encode("utf-8", "replace").decode(), "x" * 500_000]
)
def test_a_score_is_a_pair_of_probabilities_whatever_is_asked(heads: Heads, text: str) -> None:
    found = heads.score(text)
    assert 0 < found.ok_local < 1
    assert 0 < found.ok_cloud < 1
    assert found == heads.score(text)


def test_tools_and_words_both_count(heads: Heads) -> None:
    bare = heads.score("what is the weather in Rome")
    assert (
        heads.score("what is the weather in Rome", [Tool("get_weather", "weather of a city", ("city",))])
        != bare
    )
    assert heads.score("design a lock-free scheduler and prove it") != bare


def test_what_is_hard_by_common_sense_gains_more_than_what_is_easy(heads: Heads) -> None:
    turns = [turn for turn in shipped_turns() if turn.before is None]
    hard = [heads.score(turn.text).gain for turn in turns if turn.want == "cloud"]
    easy = [heads.score(turn.text).gain for turn in turns if turn.want == "local"]
    assert np.mean(hard) > np.mean(easy) + 0.05


def test_heads_for_other_features_are_refused() -> None:
    with pytest.raises(ValueError, match="trained on other features"):
        Heads({"names": np.array(["something", "else"])})


def test_a_forest_says_what_each_tree_says_alone() -> None:
    feature = np.array([0, LEAF, 1, LEAF, LEAF, LEAF], np.uint8)
    threshold = np.array([0.5, 1.0, 2.0, 3.0, 4.0, 9.0], np.float32)
    right = np.array([2, 1, 4, 3, 4, 5], np.int32)
    forest = Forest(feature, threshold, right, np.array([0, 5], np.int32))
    for row, wanted in (([0.5, 0], 1.0), ([0.6, 2.0], 3.0), ([0.6, 2.1], 4.0)):
        assert forest.values(np.array(row, np.float32)).tolist() == [wanted, 9.0]


def test_the_shape_has_one_number_for_each_name() -> None:
    for text in ("", *TEXTS[:5]):
        assert len(shape(text, ())) == len(shape(text, [Tool("a.b", "c", ("d",))])) == len(names())


def test_an_abler_local_model_moves_ok_local_and_the_gain_together() -> None:
    found = Score(0.5, 0.8, 0.3)
    abler = moved(found, 1.0)
    assert abler.ok_local == pytest.approx(sigmoid(1.0))
    assert abler.gain == pytest.approx(0.3 + 0.5 - abler.ok_local)
    assert moved(found, 0.0) is found


def test_log_odds_and_back() -> None:
    assert sigmoid(logit(0.3)) == pytest.approx(0.3)
    assert sigmoid(logit(0.0)) == pytest.approx(EDGE)
    assert 0 < sigmoid(-1e9) < sigmoid(1e9) <= 1


def test_the_curve_that_ships_lies_where_success_can() -> None:
    curve = np.array(load_curve())
    assert len(curve) > 500
    assert ((curve[:, 1:] > -0.01) & (curve[:, 1:] < 1.01)).all()
