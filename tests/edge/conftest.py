"""One daemon between two fakes for each file here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.daemon import Daemon, Stage


@pytest.fixture(scope="module")
def standing() -> Iterator[Stage]:
    """The stage, with a small limit for bodies."""
    with Stage(limits={"body_bytes": 200_000}, llama_swap={"fallback_model": "gemma-small"}) as stage:
        yield stage


@pytest.fixture
def stage(standing: Stage) -> Stage:
    """The stage, clean."""
    standing.clean()
    return standing


@pytest.fixture
def daemon(stage: Stage) -> Daemon:
    return stage.daemon
