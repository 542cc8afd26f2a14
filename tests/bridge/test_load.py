"""A day's work in minutes: nothing is lost, nothing is said twice, nothing grows."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.bridge.rig import PLATFORMS, Rig
from tests.daemon import Stage, eventually

pytestmark = [pytest.mark.load, pytest.mark.timeout(1200)]
LOSSES = 1000
SENDS_S = 0.005  # so that breaks meet answers that are under way
MESSAGES = 10_000
# Every so many messages one is a question, which starts the stand-in for omp.
QUESTION = 20
CROWD = 400  # nobody is refused for writing too often
# The ids of ten minutes are remembered, so that nothing is answered twice; a message more than that costs nothing.
GROWTH_BYTES = 24 << 20
HEARD_S = 1.0


def sent(rig: Rig) -> int:
    kept = rig.discord.sent if rig.discord else rig.signal.sent if rig.signal else []
    return len(kept)


@pytest.mark.parametrize("platform", [*PLATFORMS, "signal over http"])
def test_a_thousand_lost_connections_lose_no_message_and_double_none(platform: str, stage: Stage):
    platform, _, over_http = platform.partition(" over ")
    with Rig(platform, stage.daemon, over_http=bool(over_http)) as rig:
        if rig.signal is not None:
            rig.signal.takes_s = SENDS_S
        for number in range(LOSSES):
            rig.break_connection()
            rig.owner = rig.crowd[number % CROWD]
            rig.say(f"!br mkdir d{number}")
        eventually(lambda: sent(rig) >= LOSSES, 300.0, f"{LOSSES} answers, {sent(rig)}")
        rig.owner = rig.crowd[0]
        rig.settle()
        times = Counter(text for _, text in rig.everything_sent())
        assert times == {"pong": 1} | {f"Made /d{number}": 1 for number in range(LOSSES)}


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_ten_thousand_messages_are_answered_in_time_and_cost_no_memory(platform: str, stage: Stage):
    with Rig(platform, stage.daemon) as rig:
        waits: list[float] = []
        warm = 0
        for number in range(MESSAGES):
            rig.owner = rig.crowd[number % CROWD]
            asked = number % QUESTION == 0
            begun = time.monotonic()
            rig.say("hello" if asked else "!br ping")
            if asked:  # the sign that it was heard
                eventually(lambda: rig.typed, 30.0, "a sign of typing")
                waits.append(time.monotonic() - begun)
            assert rig.hears(1)[-1] == ("heard: hello" if asked else "pong")
            if not asked:
                waits.append(time.monotonic() - begun)
            rig.forget_sent()
            if number == MESSAGES // 4:
                warm = resident_bytes()
        grown = resident_bytes() - warm
        waits.sort()
        print(
            f"{platform}: {MESSAGES} messages, heard after {waits[len(waits) // 2] * 1000:.1f} ms, "
            f"p99 {waits[len(waits) * 99 // 100] * 1000:.1f} ms, memory grew by {grown / 2**20:.1f} MB"
        )
        assert grown < GROWTH_BYTES
        assert waits[len(waits) * 99 // 100] < HEARD_S
