"""What the brain says of one request."""

from __future__ import annotations

from dataclasses import dataclass

from brainrouter.wire.ask import Route


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a request should go, and why.

    `gain` ranks requests: higher means that the cloud is worth more. It is ok_cloud - ok_local where both are
    known (probabilities that each side would succeed), else a number on the same scale. `stage` names the stage of
    the cascade that settled it. `model` pins a local model; None means the configured one.
    """

    route: Route
    reason: str
    stage: str
    gain: float = 0.0
    ok_local: float | None = None
    ok_cloud: float | None = None
    ms: float = 0.0
    model: str | None = None
