"""How the fake Manifest chooses a tier and a model: the coarse shape of its scorer, not its numbers."""

from __future__ import annotations

import json
from typing import Any

from tests.sim.answers import last_user_text
from tests.sim.control import Script

MODELS = (
    "anthropic/claude-sonnet-4-6",
    "anthropic/claude-haiku-4-5",
    "openai/gpt-5-mini",
    "openai/gpt-5.2",
    "anthropic/claude-sonnet-4-6-subscription",
)
TIERS = {
    "simple": "openai/gpt-5-mini",
    "standard": "anthropic/claude-haiku-4-5",
    "complex": "anthropic/claude-sonnet-4-6",
    "reasoning": "openai/gpt-5.2",
    "default": "anthropic/claude-sonnet-4-6",
}
ORDER = ("simple", "standard", "complex", "reasoning")
FORMAL = ("prove", "derive", "theorem", "induction")
HARD = ("refactor", "debug", "race condition", "architecture", "implement", "deadlock")
SHORT_CHARS, LARGE_TOKENS, MOMENTUM = 50, 50_000, 5

Route = dict[str, str]


def choose(body: dict[str, Any], session: str, script: Script, state: dict[str, Any]) -> Route | None:
    """Tier, model, provider, reason and confidence; None for an explicit model that does not exist."""
    asked = str(body.get("model", "auto"))
    if asked != "auto":
        found = next((model for model in MODELS if asked in (model, model.split("/", 1)[1])), None)
        return None if found is None else _route("direct", found, "direct", 1.0)
    if not script.get("complexity"):
        tier, reason, confidence = "default", "default", 1.0
    else:
        history: list[str] = state.setdefault("momentum", {}).setdefault(session, []) if session else []
        tier, reason, confidence = _score(body, history)
        history[:] = [*history, tier][-MOMENTUM:]
    tier = script.get("tier", tier)
    model = script.get("routed_model", TIERS.get(tier, TIERS["default"]))
    return _route(tier, model, script.get("reason", reason), script.get("confidence", confidence))


def _route(tier: str, model: str, reason: str, confidence: float) -> Route:
    provider, _, name = model.partition("/")
    return {
        "tier": tier,
        "model": name,
        "provider": provider,
        "reason": reason,
        "confidence": f"{confidence:g}",
    }


def _score(body: dict[str, Any], history: list[str]) -> tuple[str, str, float]:
    text = last_user_text(body).lower()
    tools = bool(body.get("tools")) and body.get("tool_choice") != "none"
    if text.strip() == "heartbeat_ok":
        return "simple", "heartbeat", 1.0
    if any(word in text for word in FORMAL):
        return "reasoning", "formal_logic_override", 0.95
    hard = any(word in text for word in HARD)
    if len(text) < SHORT_CHARS and not hard:
        if not history:
            return "simple", "short_message", 0.9
        return history[-1], "momentum", 0.6
    tier = "complex" if hard else "standard"
    if len(json.dumps(body.get("messages") or body.get("input") or "")) / 4 > LARGE_TOKENS:
        return max(tier, "complex", key=ORDER.index), "large_context", 0.8
    return tier, "tool_detected" if tools else "scored", 0.7


def headers(route: Route, streamed: bool, script: Script) -> list[tuple[str, str]]:
    """The `X-Manifest-*` headers of an answer that came through a route."""
    fields = [
        ("X-Manifest-Tier", route["tier"]),
        ("X-Manifest-Model", route["model"]),
        ("X-Manifest-Provider", route["provider"]),
        ("X-Manifest-Confidence", route["confidence"]),
        ("X-Manifest-Reason", route["reason"]),
        ("X-Manifest-Output-Modality", "text"),
        ("X-Manifest-Response-Mode", "stream" if streamed else "buffered"),
    ]
    if script.get("fallback_from"):
        fields.append(("X-Manifest-Fallback-From", script["fallback_from"]))
        fields.append(("X-Manifest-Fallback-Index", str(script.get("fallback_index", 0))))
    return fields
