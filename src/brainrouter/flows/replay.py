"""What would have changed: another policy over the user's own history, without sending anything anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from brainrouter.adapters.history import Past
from brainrouter.brain.heads import logit, sigmoid

WEIGHED = frozenset(("heads", "llm"))


@dataclass(frozen=True, slots=True)
class Policy:
    """What can be replayed: the knob, and how able each local model is taken to be."""

    knob: float
    ability: dict[str, float]


@dataclass(frozen=True, slots=True)
class Change:
    """One request that would have gone to the other side."""

    item: Past
    route: str
    gain: float


@dataclass(frozen=True, slots=True)
class Replayed:
    """`weighed` requests were the knob's to decide; the others keep their route whatever the policy says."""

    total: int
    weighed: int
    cloud_before: int
    cloud_after: int
    expected_change: float
    known_bad_saved: int
    changes: tuple[Change, ...]


def replay(history: Sequence[Past], policy: Policy, was: dict[str, float]) -> Replayed:
    """Every weighed request of a history under `policy`. `was` is the ability that the stored gains already hold."""
    changes: list[Change] = []
    weighed = before = after = saved = 0
    expected = 0.0
    for item in history:
        event = item.event
        if event.stage not in WEIGHED or event.gain is None or event.ok_local is None:
            continue
        weighed += 1
        before += event.decision == "cloud"
        gain = event.gain + _moved(event.ok_local, event.model, policy.ability, was)
        route = "cloud" if gain >= policy.knob else "local"
        after += route == "cloud"
        if route == event.decision:
            continue
        changes.append(Change(item, route, gain))
        expected += gain if route == "cloud" else -gain
        saved += route == "cloud" and item.ok is False
    return Replayed(len(history), weighed, before, after, expected, saved, tuple(changes))


def _moved(ok_local: float, model: str | None, ability: dict[str, float], was: dict[str, float]) -> float:
    shift = ability.get(model or "", 0.0) - was.get(model or "", 0.0)
    return ok_local - sigmoid(logit(ok_local) + shift) if shift else 0.0
