"""Everything that can go wrong with an upstream, and what each kind means for the router.

Failure
  kind.falls_back   may the next attempt be tried (only before the first byte was sent)?
  kind.trips        does it count against the upstream's circuit breaker?
  kind.status       the status the caller gets when no other attempt is left
"""

from __future__ import annotations

from dataclasses import dataclass

from brainrouter.wire.prompt_text import masked


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of failure. `name` is what events and logs show."""

    name: str
    falls_back: bool
    trips: bool
    status: int


UNREACHABLE = Kind("unreachable", falls_back=True, trips=True, status=502)
FIRST_BYTE_TIMEOUT = Kind("first_byte_timeout", falls_back=True, trips=True, status=504)
STALLED = Kind("stalled", falls_back=True, trips=True, status=504)
TOTAL_TIMEOUT = Kind("total_timeout", falls_back=True, trips=False, status=504)
TRUNCATED = Kind("truncated", falls_back=True, trips=True, status=502)
MALFORMED = Kind("malformed", falls_back=True, trips=True, status=502)
EMPTY_ANSWER = Kind("empty_answer", falls_back=True, trips=True, status=502)
MISCONFIGURED = Kind("misconfigured", falls_back=True, trips=True, status=502)
BUDGET_SPENT = Kind("budget_spent", falls_back=True, trips=True, status=402)
# One that names a time rests its upstream for that long; one that does not is over by the next request.
RATE_LIMITED = Kind("rate_limited", falls_back=True, trips=False, status=429)
UNAUTHORISED = Kind("unauthorised", falls_back=True, trips=False, status=401)
CONTEXT_TOO_LONG = Kind("context_too_long", falls_back=False, trips=False, status=400)
REFUSED = Kind("refused", falls_back=False, trips=False, status=400)
NOT_TRANSLATABLE = Kind("not_translatable", falls_back=True, trips=False, status=400)
UNKNOWN_MODEL = Kind("unknown_model", falls_back=True, trips=False, status=404)
UPSTREAM_ERROR = Kind("upstream_error", falls_back=True, trips=True, status=502)
UNFIT_ANSWER = Kind("unfit_answer", falls_back=True, trips=False, status=502)
BREAKER_OPEN = Kind("breaker_open", falls_back=True, trips=False, status=503)
BUSY = Kind("busy", falls_back=True, trips=False, status=503)
INTERNAL = Kind("internal", falls_back=False, trips=False, status=500)  # a fault of ours


class Failure(Exception):
    """An attempt that did not give an answer.

    `message` is plain text that may be shown to the user. `status` overrides the kind's where the upstream said one
    that the caller should see. `retry_after_s` is what the upstream asked for, in seconds, if it did.
    `body` is the cloud's own error body, for callers that speak its dialect. `window` is (tokens asked for, tokens
    that fit) when the request was too long and the upstream said how long.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        body: bytes | None = None,
        window: tuple[int, int] | None = None,
    ) -> None:
        message = masked(
            message
        )  # upstreams repeat keys in their errors, and events and replies show the text
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status if status is not None else kind.status
        self.retry_after_s = retry_after_s
        self.body = body
        self.window = window

    def __str__(self) -> str:
        return f"{self.kind.name}: {self.message}"
