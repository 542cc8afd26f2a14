"""What all conversations of one bridge share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from brainrouter.bridge.house import House, Unanswered
from brainrouter.bridge.models import PREFIX, Found, find
from brainrouter.bridge.omp import Omp, Tools
from brainrouter.bridge.port import Port
from brainrouter.bridge.state import State
from brainrouter.bridge.workspace import Workspace

MODELS_S = 30.0


@dataclass(slots=True)
class Board:
    """How a bridge is, for `/api/bridge-status`. `last_error` is the latest trouble, which need not last."""

    state: str = "starting"
    detail: str = ""
    last_error: str | None = None

    def says(self, state: str, detail: str) -> None:
        self.state, self.detail = state, detail

    def shown(self, sessions: int) -> dict[str, Any]:
        """The bridge's part of the body, without `enabled`."""
        return {
            "state": self.state,
            "detail": self.detail,
            "sessions": sessions,
            "last_error": self.last_error,
        }


class Catalogue:
    """The models that can be asked, remembered for a while, and longer when the daemon does not answer."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._models: dict[str, int | None] = {}
        self._at = -MODELS_S

    async def models(self) -> dict[str, int | None]:
        """Names and windows. Raises Unanswered when there never was a list."""
        if time.monotonic() - self._at >= MODELS_S:
            try:
                self._models = await self._house.models()
                self._at = time.monotonic()
            except Unanswered:
                if not self._models:
                    raise
        return self._models


@dataclass(frozen=True, slots=True)
class Means:
    """The platform, the memory, the folders, omp and the daemon, and how the user wants them used."""

    port: Port
    state: State
    workspace: Workspace
    omp: Omp
    house: House
    catalogue: Catalogue
    prefix: str
    default_model: str
    aliases: Mapping[str, str]
    tools: Callable[[str], Tools]
    board: Board = field(default_factory=Board)

    @property
    def word(self) -> str:
        """The command word."""
        return f"{self.prefix}br"

    def model(self, channel: str) -> str:
        """The model that the channel's questions go to."""
        return (self.state.model(channel) or self.default_model).removeprefix(PREFIX)

    async def find(self, name: str) -> Found:
        """What a model's name means here. Raises Unanswered."""
        return find(name, await self.catalogue.models(), self.aliases)
