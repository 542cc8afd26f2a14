"""Where the knob goes for a share or a quality, and what a user's own outcomes say of a local model."""

from __future__ import annotations

import pytest

from brainrouter.adapters.history import Past
from brainrouter.brain.heads import logit
from brainrouter.flows.calibrate import Weighed, abilities, expected, for_quality, for_share, weighed
from brainrouter.flows.evaluate import on_past
from brainrouter.flows.replay import Policy, replay
from brainrouter.wire.event import RoutingEvent

ROWS = [Weighed(gain / 100, 0.9 - gain / 100, 0.9) for gain in range(50)]


def past(ok: bool | None, *, side: str = "local", gain: float | None = 0.1, **fields: object) -> Past:
    event = RoutingEvent(
        id=1, time=0.0, dialect="chat", requested_model="auto", stream=False, side=side, decision=side, stage="heads",
        gain=gain, ok_local=0.6, ok_cloud=0.7, model="qwen", turn_kind="main",
    )  # fmt: skip
    for name, value in fields.items():
        setattr(event, name, value)
    return Past(event, ok, None)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 1.0])
def test_a_share_is_kept(share: float) -> None:
    assert for_share(ROWS, share).share == pytest.approx(share, abs=0.02)


def test_a_quality_is_kept_with_the_fewest_cloud_requests() -> None:
    found = for_quality(ROWS, 0.95)
    assert found.success >= 0.95 * found.all_cloud
    assert expected(ROWS, found.knob + 0.011).success < 0.95 * found.all_cloud
    assert found.low <= found.success <= found.high


def test_only_user_turns_that_were_weighed_count() -> None:
    rows = [
        past(None),
        past(None, turn_kind="title"),
        past(None, gain=None),
        past(None, turn_kind="subagent"),
    ]
    assert len(weighed(rows)) == 2


def test_an_offset_needs_outcomes_and_is_shrunk() -> None:
    assert abilities([past(True)] * 9) == {}
    shift, count = abilities([past(True)] * 30)["qwen"]
    assert count == 30
    assert 0 < shift < logit(30.5 / 31) - logit(0.6)
    assert abilities([past(False)] * 30)["qwen"][0] < 0


def test_a_replay_moves_only_what_the_heads_decided() -> None:
    rows = [
        past(False),
        past(True, side="cloud", gain=0.4),
        past(None, stage="session"),
        past(None, stage="llm", gain=0.2),
    ]
    found = replay(rows, Policy(0.05, {}), {})
    assert (found.total, found.weighed, found.cloud_before, found.cloud_after) == (4, 3, 1, 3)
    assert found.known_bad_saved == 1
    assert found.expected_change == pytest.approx(0.3)
    abler = replay(rows, Policy(0.3, {"qwen": 5.0}), {})
    assert [change.route for change in abler.changes] == ["local"]


def test_own_outcomes_are_counted_by_side() -> None:
    found = on_past([past(True), past(False), past(True, side="cloud"), past(None)])
    assert (found.judged, found.local, found.local_good, found.cloud_good) == (3, 2, 1, 1)
    assert found.expected_local == pytest.approx(0.6)
    assert found.ece_local == pytest.approx(0.1)
