"""The daemon between its fakes, once; a bridge on each platform for the tests that ask for one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.bridge.rig import PLATFORMS, Rig
from tests.daemon import Stage


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The daemon that the bridges talk to."""
    with Stage(llama_swap={"fallback_model": "gemma-small"}) as made:
        yield made


@pytest.fixture(scope="session")
def standing(stage: Stage) -> Iterator[dict[str, Rig]]:
    """A bridge on each platform, for all tests that need no other."""
    with contextlib.ExitStack() as stack:
        yield {platform: stack.enter_context(Rig(platform, stage.daemon)) for platform in PLATFORMS}


def one(standing: dict[str, Rig], platform: str) -> Rig:
    rig = standing[platform]
    if rig.status()["state"] != "connected":
        rig.stop()
        rig.start()
    rig.fresh()
    return rig


@pytest.fixture(params=PLATFORMS)
def rig(request: pytest.FixtureRequest, standing: dict[str, Rig]) -> Rig:
    """The bridge on each platform in turn, with somebody new to write."""
    return one(standing, request.param)


@pytest.fixture
def discord(standing: dict[str, Rig]) -> Rig:
    return one(standing, "discord")


@pytest.fixture
def signal(standing: dict[str, Rig]) -> Rig:
    return one(standing, "signal")
