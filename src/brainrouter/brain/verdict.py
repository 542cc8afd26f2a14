"""What the brain says of one request."""

from __future__ import annotations

import msgspec

from brainrouter.brain.session import Outcome, Session
from brainrouter.wire.ask import Route


class Verdict(msgspec.Struct, frozen=True):
    """Where a request should go, and why.

    `gain` ranks requests: higher means that the cloud is worth more. It is ok_cloud - ok_local (probabilities that
    each side would succeed), whatever stage settled the route. `knob` is the price it was held against, `price` the
    same with what a switch costs. `stage` names the stage of the cascade that settled it, `kind` the kind of turn
    (None where the turn was not read).
    `model` pins a local model; None means the configured one. `private` forbids the cloud, fallback included.
    `outcome` is what this request tells of the turn before it. `unsure` says that the heads were near the knob.
    """

    route: Route
    reason: str
    stage: str
    gain: float = 0.0
    ok_local: float | None = None
    ok_cloud: float | None = None
    knob: float | None = None
    price: float = 0.0
    ms: float = 0.0
    model: str | None = None
    kind: str | None = "main"
    private: bool = False
    unsure: bool = False
    escalation: str | None = None
    session: Session | None = None
    outcome: Outcome | None = None
