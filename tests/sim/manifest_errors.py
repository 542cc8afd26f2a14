"""Manifest's errors: its own codes, disguised or not, and those it passes on from providers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.sim.answers import MESSAGES

DOCS = "https://manifest.build/docs/errors"


@dataclass(frozen=True)
class OwnError:
    """One of Manifest's codes. `made_by` is filter, router or limiter; `reason` is the router's header."""

    text: str
    made_by: str
    status: int
    kind: str = "invalid_request_error"
    code: str | None = None
    reason: str = ""


def _auth(text: str) -> OwnError:
    return OwnError(text, "filter", 401, "auth_error", "manifest_auth")


def _stub(text: str, reason: str) -> OwnError:
    return OwnError(text, "router", 200, reason=reason)


def _rate(text: str) -> OwnError:
    return OwnError(text, "limiter", 429, "rate_limit_error")


OWN = {
    "M001": _auth("Missing the Authorization header."),
    "M002": _auth("The Bearer token is empty."),
    "M003": _auth('That doesn\'t look right. Manifest keys start with "mnfst_".'),
    "M004": _auth("This key has expired."),
    "M005": _auth("I don't recognize this key."),
    "M100": _stub("No API key set for this provider.", "no_provider_key"),
    "M101": _stub("No providers are connected yet.", "no_provider"),
    "M102": _stub("The subscription's credentials cannot be used.", "no_provider_key"),
    "M200": _stub("The usage limit of this agent is reached.", "limit_exceeded"),
    "M201": _rate("Too many requests: 200 a minute."),
    "M202": _rate("Too many requests from this address: 500 a minute."),
    "M203": _rate("Too many concurrent requests: 10."),
    "M204": OwnError("The plan's quota is used up.", "filter", 402, "insufficient_quota"),
    "M300": OwnError("messages array is required.", "filter", 400),
    "M302": _stub("This model is not available.", "model_not_available"),
    "M500": OwnError("Something broke on our end. Try again in a moment.", "filter", 500, "server_error"),
}


def stub_text(code: str) -> str:
    """What a stub says in place of an answer."""
    return f"[🦚 Manifest {code}] {OWN[code].text} See {DOCS}/{code}"


def own_body(code: str) -> dict[str, Any]:
    """The body that a caller gets who does not stream (or is limited)."""
    error = OWN[code]
    body: dict[str, Any] = {"message": stub_text(code), "type": error.kind}
    if error.code:
        body["code"] = error.code
    return {"error": body}


@dataclass(frozen=True)
class ProviderError:
    """A provider's failure as a script describes it; `form` is old, exhausted or new (mnfst/llm-gateway#2893)."""

    status: int = 500
    message: str = "The provider failed."
    code: str | None = None
    kind: str = "server_error"
    form: str = "old"
    source: str = "provider"
    provider: str = "anthropic"
    model: str = "claude-sonnet-4-6"
    exhausted: bool = False

    def headers(self) -> list[tuple[str, str]]:
        """`X-Manifest-Fallback-Exhausted`, in every form the sign that the chain ended."""
        ended = self.exhausted or self.form == "exhausted"
        return [("X-Manifest-Fallback-Exhausted", "true")] if ended else []

    def body(self, protocol: str) -> dict[str, Any]:
        """The JSON body."""
        ended = bool(self.headers())
        error: dict[str, Any] = {
            "message": self.message,
            "type": self.kind,
            "param": None,
            "code": self.code,
            "status": self.status,
            "source": self.source,
            "provider": self.provider,
            "model": self.model,
        }
        if ended:
            tried = {"model": "gpt-5-mini", "provider": "openai", "status": 503}
            error |= {
                "primary_model": self.model,
                "primary_provider": self.provider,
                "attempted_fallbacks": [tried],
            }
        if self.form == "new":
            error["source"] = "provider"
            error |= {"fallback_exhausted": True} if ended else {}
        elif ended:
            error["code"] = self.code or "fallback_exhausted"
        return {"type": "error", "error": error} if protocol == MESSAGES else {"error": error}
