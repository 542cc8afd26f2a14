"""Two daemons between fakes: one whose cloud speaks all three protocols, one whose cloud speaks chat only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.conformance.cells import cells
from tests.conformance.clients import CLIENTS, Client
from tests.daemon import Stage
from tests.sim.handle import SimProcess

SEES, BLIND = "gemma-small", "qwen-coder"


@dataclass
class Cell:
    """One protocol on one way: who asks, who answers."""

    protocol: str
    way: str
    stage: Stage
    client: Client
    peer: SimProcess

    @property
    def translated(self) -> bool:
        return self.protocol != "chat" and self.way != "native"


@pytest.fixture(scope="package")
def native_stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.fixture(scope="package")
def chat_only_stage() -> Iterator[Stage]:
    with Stage(manifest={"protocols": ["chat"]}) as stage:
        yield stage


@pytest.fixture(params=cells(), ids=lambda cell: f"{cell[0]}-{cell[1]}")
def cell(request: pytest.FixtureRequest, native_stage: Stage, chat_only_stage: Stage) -> Cell:
    """The cell, its stage clean."""
    protocol, way = request.param
    stage = chat_only_stage if way == "chat-only" else native_stage
    stage.clean()
    local = way == "local"
    client = CLIENTS[protocol](stage.daemon.base_url, SEES if local else "cloud")
    return Cell(protocol, way, stage, client, stage.llama_swap if local else stage.manifest)
