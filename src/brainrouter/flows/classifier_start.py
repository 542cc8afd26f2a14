"""Brings the classifier up beside the hot path: finds its model, starts its worker, says how far it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from brainrouter.adapters.classifier import Classifier
from brainrouter.adapters.model_fetch import fetched_model
from brainrouter.adapters.model_file import ModelUnavailable
from brainrouter.config import Settings


class ClassifierStart:
    """Holds the classifier once there is one. Until then `current` is None: decisions are made without it.

    `after` is waited for first: an embedded model that is being fetched or loaded would spoil the measuring.
    """

    def __init__(
        self, settings: Settings, cache: Path, busy: Callable[[], bool], after: Callable[[], Awaitable[None]]
    ) -> None:
        self._settings = settings
        self._cache = cache
        named = settings.bonsai.model_path
        self._configured = Path(named).expanduser() if named else None
        self._busy = busy
        self._after = after
        self._detail = "waiting for its model"
        self._classifier: Classifier | None = None

    def current(self) -> Classifier | None:
        return self._classifier

    async def run(self) -> None:
        """Get the model (configured, else embedded) and start the worker. Never raises for a bad model."""
        if not self._settings.decision.classifier:
            self._detail = "switched off by decision.classifier"
            return
        await self._after()
        try:
            model = await self._model()
        except (ModelUnavailable, OSError) as error:
            self._detail = f"off: {error}"
            return
        deadline_s = self._settings.decision.deadline_ms / 1000
        classifier = Classifier(
            model, deadline_s=deadline_s, embedded=self._configured is None, busy=self._busy
        )
        await classifier.start()
        self._classifier = classifier

    def status(self) -> dict[str, Any]:
        """How the classifier is, for /health."""
        if self._classifier is None:
            state = "off" if self._detail.startswith(("off", "switched")) else "loading"
            return {"state": state, "detail": self._detail}
        return self._classifier.status()

    async def close(self) -> None:
        if self._classifier is not None:
            await self._classifier.close()

    async def _model(self) -> Path:
        if self._configured is not None:
            return self._configured
        return await fetched_model(self._cache, self._progress)

    def _progress(self, label: str, share: float | None) -> None:
        self._detail = label if share is None else f"{label} {share:.0%}"
