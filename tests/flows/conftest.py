"""One daemon between two fakes for each file here, clean for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.daemon import Daemon, Stage
from tests.sim.handle import SimLlamaSwap, SimManifest


@pytest.fixture(scope="module")
def standing() -> Iterator[Stage]:
    """The stage with short patience."""
    quick = {"first_byte_s": 0.5, "stall_s": 0.5}
    with Stage(
        manifest=quick,
        llama_swap={**quick, "fallback_model": "gemma-small"},
        limits={"total_s": 5, "drain_s": 2},
    ) as stage:
        yield stage


@pytest.fixture
def stage(standing: Stage) -> Stage:
    """The stage, clean."""
    standing.clean()
    return standing


@pytest.fixture
def daemon(stage: Stage) -> Daemon:
    return stage.daemon


@pytest.fixture
def manifest(stage: Stage) -> SimManifest:
    return stage.manifest


@pytest.fixture
def llama_swap(stage: Stage) -> SimLlamaSwap:
    return stage.llama_swap
