"""One running fake of each kind, wiped between tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sim.handle import SimLlamaSwap, SimManifest, SimUpstream


@pytest.fixture(scope="session")
def running_upstream() -> Iterator[SimUpstream]:
    """The upstream, started once."""
    with SimUpstream() as sim:
        yield sim


@pytest.fixture
def upstream(running_upstream: SimUpstream) -> SimUpstream:
    """The upstream with nothing scripted and nothing logged."""
    running_upstream.reset()
    return running_upstream


@pytest.fixture(scope="session")
def running_manifest() -> Iterator[SimManifest]:
    """Manifest, started once."""
    with SimManifest() as sim:
        yield sim


@pytest.fixture
def manifest(running_manifest: SimManifest) -> SimManifest:
    """Manifest with nothing scripted and nothing logged."""
    running_manifest.reset()
    return running_manifest


@pytest.fixture(scope="session")
def running_llama_swap() -> Iterator[SimLlamaSwap]:
    """llama-swap, started once."""
    with SimLlamaSwap() as sim:
        yield sim


@pytest.fixture
def llama_swap(running_llama_swap: SimLlamaSwap) -> SimLlamaSwap:
    """llama-swap with nothing scripted, nothing logged, no model loaded."""
    running_llama_swap.reset()
    return running_llama_swap
