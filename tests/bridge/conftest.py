"""The daemon between its fakes, once; a bridge on each platform for the tests that ask for one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.bridge.rig import PLATFORMS, Rig
from tests.daemon import Stage

ROUNDS = 20


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every scenario, which is a test that asks for a bridge, twenty times: once by `make test`, the rest by `-m load`."""
    if {"rig", "discord", "signal"} & set(metafunc.fixturenames):
        rounds = [pytest.param(1), *(pytest.param(n, marks=pytest.mark.load) for n in range(2, ROUNDS + 1))]
        metafunc.parametrize("round_", rounds, ids=lambda n: f"round {n}")


@pytest.fixture
def round_() -> int:
    """Which of the twenty; for tests that ask for no bridge."""
    return 1


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
def rig(request: pytest.FixtureRequest, round_: int, standing: dict[str, Rig]) -> Rig:
    """The bridge on each platform in turn, with somebody new to write."""
    return one(standing, request.param)


@pytest.fixture
def discord(round_: int, standing: dict[str, Rig]) -> Rig:
    return one(standing, "discord")


@pytest.fixture
def signal(round_: int, standing: dict[str, Rig]) -> Rig:
    return one(standing, "signal")
