"""Many lost connections in a row: nothing is lost, nothing is said twice."""

from __future__ import annotations

import pytest

from tests.bridge.rig import PLATFORMS, Rig, people
from tests.daemon import Stage, eventually

pytestmark = [pytest.mark.load, pytest.mark.timeout(900)]
LOSSES = 1000


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_thousand_lost_connections_lose_no_message_and_double_none(platform: str, stage: Stage):
    with Rig(platform, stage.daemon) as rig:
        crowd = people(platform)
        for number in range(LOSSES):
            rig.break_connection()
            rig.owner = crowd[number % len(crowd)]
            rig.say("!br ping")
        sent = rig.discord.sent if rig.discord else rig.signal.sent if rig.signal else []
        eventually(lambda: len(sent) >= LOSSES, 300.0, f"{LOSSES} answers")
        rig.owner = crowd[0]
        rig.settle()
        assert len(sent) == LOSSES + 1
