"""Where to set the knob: the price of the cloud that gives a share or keeps a quality, on what this user asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from brainrouter.adapters.history import Past
from brainrouter.brain.heads import logit
from brainrouter.brain.quality import interval

ENOUGH = 40  # requests that were weighed; below it the shipped curve stands in
ENOUGH_OUTCOMES = 10
SHRINK = 20.0


@dataclass(frozen=True, slots=True)
class Weighed:
    """One request as the heads weighed it. `small` and `large`: expected success, or what really happened."""

    gain: float
    small: float
    large: float


@dataclass(frozen=True, slots=True)
class Setting:
    """A knob, and what to expect of it: the cloud's share, the success, and between what the success lies."""

    knob: float
    share: float
    success: float
    low: float
    high: float
    all_cloud: float
    all_local: float


def weighed(history: Sequence[Past]) -> list[Weighed]:
    """The user turns of a history that the heads weighed."""
    return [
        Weighed(item.event.gain, item.event.ok_local, item.event.ok_cloud)
        for item in history
        if item.event.turn_kind in ("main", "subagent")
        and item.event.gain is not None
        and item.event.ok_local is not None
        and item.event.ok_cloud is not None
    ]


def for_share(rows: Sequence[Weighed], share: float) -> Setting:
    """The knob that sends about `share` (0 to 1) of such requests to the cloud."""
    gains = sorted((row.gain for row in rows), reverse=True)
    count = round(share * len(gains))
    knob = gains[count - 1] if count else gains[0] + 0.01
    return expected(rows, knob)


def for_quality(rows: Sequence[Weighed], kept: float) -> Setting:
    """The knob that keeps `kept` (0 to 1) of the all-cloud success with the fewest cloud requests."""
    ordered = sorted(rows, key=lambda row: -row.gain)
    target = kept * sum(row.large for row in rows) / len(rows)
    success = sum(row.small for row in rows) / len(rows)
    knob = ordered[0].gain + 0.01
    for row in ordered:
        if success >= target:
            break
        success += (row.large - row.small) / len(rows)
        knob = row.gain
    return expected(rows, knob)


def expected(rows: Sequence[Weighed], knob: float) -> Setting:
    """What a knob gives on such requests."""
    got = [row.large if row.gain >= knob else row.small for row in rows]
    low, high = interval(lambda picked: sum(got[at] for at in picked) / len(picked), len(rows))
    return Setting(
        knob=knob,
        share=sum(row.gain >= knob for row in rows) / len(rows),
        success=sum(got) / len(got),
        low=low,
        high=high,
        all_cloud=sum(row.large for row in rows) / len(rows),
        all_local=sum(row.small for row in rows) / len(rows),
    )


def abilities(history: Sequence[Past]) -> dict[str, tuple[float, int]]:
    """For each local model with outcomes: how much abler than thought it is (log odds), and from how many turns."""
    seen: dict[str, list[tuple[float, bool]]] = {}
    for item in history:
        event = item.event
        if event.side == "local" and event.model and event.ok_local is not None and item.ok is not None:
            seen.setdefault(event.model, []).append((event.ok_local, item.ok))
    found: dict[str, tuple[float, int]] = {}
    for model, rows in seen.items():
        if len(rows) < ENOUGH_OUTCOMES:
            continue
        share = (sum(ok for _, ok in rows) + 0.5) / (len(rows) + 1)
        thought = sum(logit(p) for p, _ in rows) / len(rows)
        found[model] = (logit(share) - thought) * len(rows) / (len(rows) + SHRINK), len(rows)
    return found
