"""How the chat bridges are. A bridge that runs reports itself here; the others are told from the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from brainrouter.config import BridgeSettings

Report = Callable[[], dict[str, Any]]
NAMES = ("discord", "signal")


class BridgeBoard:
    """`reports[name]` is set by whoever runs that bridge; it gives at least `state` and `detail`."""

    def __init__(self, settings: BridgeSettings) -> None:
        self._enabled = {"discord": settings.discord.enabled, "signal": settings.signal.enabled}
        self.reports: dict[str, Report] = {}

    def status(self) -> dict[str, dict[str, Any]]:
        """The body of /api/bridge-status."""
        return {name: self._one(name) for name in NAMES}

    def _one(self, name: str) -> dict[str, Any]:
        enabled = self._enabled[name]
        report = self.reports.get(name)
        if report is not None:
            return {"enabled": enabled, **report()}
        silent = {"enabled": enabled, "sessions": 0, "last_error": None}
        if not enabled:
            return {**silent, "state": "off", "detail": f"switch it on with bridge.{name}.enabled"}
        return {**silent, "state": "stopped", "detail": "not running"}
