"""How reviews run now: the configuration, and over it what was changed at run time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import UNSET

from brainrouter.adapters.review_state import ReviewState, read_state, write_state
from brainrouter.config import ReviewSettings

MAX_ITERATIONS = 50


class ReviewConfig(msgspec.Struct, frozen=True):
    """What is in force, and which of it was changed at run time."""

    forced_mode: Literal["auto", "cloud", "local"]
    forced_model: str | None
    max_iterations: int
    changed: list[str]
    models: list[str]


class BadSetting(Exception):
    """A change that cannot be made. `field` is the one at fault."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class ReviewControl:
    """Reads and changes the settings of reviews; a change is on disk before it counts."""

    def __init__(self, settings: ReviewSettings, file: Path, models: Callable[[], list[str]]) -> None:
        self._settings = settings
        self._file = file
        self._models = models
        self._state = read_state(file)

    def follow(self, settings: ReviewSettings) -> None:
        """Other settings lie under what was changed at run time."""
        self._settings = settings

    def now(self) -> ReviewConfig:
        """What is in force."""
        state, base = self._state, self._settings
        return ReviewConfig(
            base.forced_mode if state.forced_mode is UNSET else state.forced_mode,
            base.forced_model if state.forced_model is UNSET else state.forced_model,
            base.max_iterations if state.max_iterations is UNSET else state.max_iterations,
            [name for name in ReviewState.__struct_fields__ if getattr(state, name) is not UNSET],
            self._models(),
        )

    def change(self, wanted: ReviewState) -> ReviewConfig:
        """Take over what `wanted` sets. Raises BadSetting, or OSError when it cannot be kept."""
        if wanted.max_iterations is not UNSET and not 1 <= wanted.max_iterations <= MAX_ITERATIONS:
            raise BadSetting(f"max_iterations: expected 1 to {MAX_ITERATIONS}", "max_iterations")
        known = self._models()
        if isinstance(wanted.forced_model, str) and known and wanted.forced_model not in known:
            raise BadSetting(
                f"forced_model: there is no local model {wanted.forced_model[:100]!r}", "forced_model"
            )
        fields = {name: getattr(wanted, name) for name in ReviewState.__struct_fields__}
        state = msgspec.structs.replace(
            self._state, **{name: value for name, value in fields.items() if value is not UNSET}
        )
        write_state(self._file, state)
        self._state = state
        return self.now()
