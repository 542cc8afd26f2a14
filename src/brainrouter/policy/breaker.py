"""Circuit breaker of one upstream: a pure function of state, clock and outcome.

closed --3 failures in a row--> open (60 s, or what Retry-After asked for)
open   --time is up-----------> half-open: exactly one probe passes
half-open --success--> closed;  --failure--> open again
"""

from __future__ import annotations

from dataclasses import dataclass, replace

FAILURES_TO_OPEN = 3
OPEN_S = 60.0
RETRY_AFTER_MAX_S = 300.0
PROBE_PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """The state of one upstream. Times are monotonic seconds."""

    failures: int = 0
    open_until: float | None = None
    probing_since: float | None = None
    cause: str = ""

    def phase(self, now: float) -> str:
        """`closed`, `open` or `half_open`."""
        if self.open_until is None:
            return "closed"
        return "open" if now < self.open_until else "half_open"


HEALTHY = Breaker()


def admits(breaker: Breaker, now: float) -> bool:
    """Whether a request may be sent now. In half-open only while no probe is on its way."""
    phase = breaker.phase(now)
    if phase == "half_open":
        since = breaker.probing_since
        return since is None or now - since > PROBE_PATIENCE_S
    return phase == "closed"


def sent(breaker: Breaker, now: float) -> Breaker:
    """The state once an admitted request was sent: a half-open breaker has its probe."""
    return replace(breaker, probing_since=now) if breaker.phase(now) == "half_open" else breaker


def succeeded(_: Breaker) -> Breaker:
    """The state after an answer."""
    return HEALTHY


def failed(breaker: Breaker, now: float, cause: str, retry_after_s: float | None = None) -> Breaker:
    """The state after a failure that counts. An upstream that names a time is believed, up to five minutes."""
    failures = breaker.failures + 1
    if retry_after_s is not None:
        wait = min(max(retry_after_s, 0.0), RETRY_AFTER_MAX_S)
    elif failures >= FAILURES_TO_OPEN or breaker.open_until is not None:
        wait = OPEN_S
    else:
        return Breaker(failures=failures, cause=cause)
    return Breaker(failures=failures, open_until=max(now + wait, breaker.open_until or 0.0), cause=cause)


def abandoned(breaker: Breaker) -> Breaker:
    """The state after a request that ended without saying anything of the upstream (the client left, a 4xx)."""
    return replace(breaker, probing_since=None)
