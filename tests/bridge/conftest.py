"""The daemon between its fakes, once; a bridge on each platform for the tests that ask for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bridge.rig import PLATFORMS, Rig
from tests.daemon import Stage


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The daemon that the bridges talk to."""
    with Stage(llama_swap={"fallback_model": "gemma-small"}) as made:
        yield made


@pytest.fixture(params=PLATFORMS)
def rig(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Rig]:
    """One bridge, on each platform in turn."""
    with Rig(request.param, stage.daemon) as made:
        yield made


@pytest.fixture
def discord(stage: Stage) -> Iterator[Rig]:
    with Rig("discord", stage.daemon) as made:
        yield made


@pytest.fixture
def signal(stage: Stage) -> Iterator[Rig]:
    with Rig("signal", stage.daemon) as made:
        yield made
