"""How good the decision is: on labelled turns, on outcome-labelled data, on the user's own past; with baselines."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from brainrouter.adapters.eval_set import Outcome, Turn
from brainrouter.adapters.history import Past
from brainrouter.brain.heads import Heads
from brainrouter.brain.heuristic import heuristic
from brainrouter.brain.quality import Quality, ece, interval, quality
from brainrouter.brain.session import Sessions
from brainrouter.flows.decide import DEFAULT_KNOB, Decider, Taste, session_key
from brainrouter.policy.model_name import Intent
from brainrouter.policy.plan import Backends
from brainrouter.wire.ask import Ask
from brainrouter.wire.chat import parse_chat

MIXED = ("swe", "codegen", "toolcall")
AGENT_TOOLS = ("Read", "Edit", "Write", "Bash", "Grep", "Glob", "Task", "TodoWrite", "WebFetch")
SYSTEM = "You are a coding agent in a terminal. Use the tools to help with software engineering tasks. " * 60
AUTO = Intent("auto")


@dataclass(frozen=True, slots=True)
class Routed:
    """How a router did on the labelled turns. `wasted`: easy ones sent to the cloud; `lost`: hard ones kept local."""

    name: str
    right: float
    low: float
    high: float
    wasted: int
    lost: int
    groups: dict[str, float]


@dataclass(frozen=True, slots=True)
class Measured:
    """One router on one set of outcome-labelled requests, with intervals for the two headline measures."""

    router: str
    set: str
    quality: Quality
    auc_interval: tuple[float, float]
    apgr_interval: tuple[float, float]


def decider(heads: Heads | None, knob: float | None = None) -> Decider:
    """A decider of its own, with both sides there and no small model: the same turn, the same verdict."""
    taste = Taste(DEFAULT_KNOB if knob is None else knob, 60, {})
    both = Backends("auto", "local", None)
    return Decider(heads, taste, Sessions(), lambda: both, lambda _: 65_536, lambda: None, 0.2)


def on_turns(heads: Heads | None, turns: Sequence[Turn]) -> list[Routed]:
    """The shipped decision and the baselines on labelled turns, each in a harness's envelope and in its session."""
    chance = np.random.default_rng(3)
    ours = decider(heads)
    routers: dict[str, Callable[[Turn], str]] = {
        "brainrouter": lambda turn: _ours(ours, turn),
        "heuristic": lambda turn: "cloud" if heuristic(_asked(turn), len(AGENT_TOOLS)) >= 0.5 else "local",
        "length": lambda turn: "cloud" if len(turn.text) > 80 else "local",
        "random": lambda _: "cloud" if chance.random() < 0.5 else "local",
        "always local": lambda _: "local",
        "always cloud": lambda _: "cloud",
    }
    judged = [turn for turn in turns if turn.want != "either"]
    return [_routed(name, router, ours, judged) for name, router in routers.items()]


def _routed(name: str, router: Callable[[Turn], str], ours: Decider, turns: Sequence[Turn]) -> Routed:
    wants = [_want(ours, turn) for turn in turns]
    routes = [router(turn) for turn in turns]
    right = [want == route for want, route in zip(wants, routes, strict=True)]
    low, high = interval(lambda picked: sum(right[at] for at in picked) / len(picked), len(right))
    groups: dict[str, list[bool]] = {}
    for turn, good in zip(turns, right, strict=True):
        groups.setdefault(turn.group, []).append(good)
    return Routed(
        name,
        sum(right) / len(right),
        low,
        high,
        wasted=sum(want == "local" != route for want, route in zip(wants, routes, strict=True)),
        lost=sum(want == "cloud" != route for want, route in zip(wants, routes, strict=True)),
        groups={group: sum(good) / len(good) for group, good in groups.items()},
    )


def _asked(turn: Turn) -> list[str]:
    return [turn.text] if turn.before is None else [turn.before, turn.text]


def _want(ours: Decider, turn: Turn) -> str:
    """`same` means where the session is: where its first turn went."""
    if turn.want != "same":
        return turn.want
    return ours.dry_run(_ask([turn.before or ""]), "", (), AUTO).route


def _ours(ours: Decider, turn: Turn) -> str:
    """The verdict of a turn in its session: the first turn is decided and answered, then the second comes."""
    if turn.before is None:
        return ours.dry_run(_ask([turn.text]), "", (), AUTO).route
    first = _ask([turn.before])
    session = ours.sessions.get(session_key(first, ours.question(first).talk), 0.0)
    verdict = ours.settle(ours.question(first), session, AUTO, None)
    session.landed("local" if turn.want == "cloud" and turn.group == "followup" else verdict.route, 1)
    second = ours.question(_ask([turn.before, turn.text]))
    return ours.settle(second, session, AUTO, None).route


def _ask(user_turns: Sequence[str]) -> Ask:
    """A chat request as a harness would send it: system prompt, its own tools, the conversation."""
    messages: list[dict[str, str]] = [{"role": "system", "content": SYSTEM}]
    for text in user_turns:
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": "Done."}]
    tools: list[dict[str, Any]] = [
        {"type": "function", "function": {"name": name, "description": f"the {name} tool", "parameters": {}}}
        for name in AGENT_TOOLS
    ]
    body: dict[str, Any] = {"model": "auto", "messages": messages[:-1], "tools": tools, "stream": True}
    return parse_chat(msgspec.json.encode(body), {})


def on_outcomes(heads: Heads, rows: Sequence[Outcome]) -> list[Measured]:
    """The heads and the baselines on outcome-labelled requests, by set, the coding sets pooled as `mixed`."""
    scores = [heads.score(row.text, row.tools) for row in rows]
    chance = np.random.default_rng(3).random(len(rows)).tolist()
    routers: dict[str, tuple[list[float], list[float]]] = {
        "brainrouter": ([score.gain for score in scores], [score.ok_local for score in scores]),
        "heuristic": _ranked([heuristic([row.text], len(row.tools)) for row in rows]),
        "length": _ranked([1 - math.exp(-len(row.text) / 1000) for row in rows]),
        "random": _ranked(chance),
    }
    found: list[Measured] = []
    for router, (gain, ok_local) in routers.items():
        for name, members in _groups(rows).items():
            found.append(_measured(router, name, members, rows, gain, ok_local))
    return found


def _ranked(hard: list[float]) -> tuple[list[float], list[float]]:
    return hard, [1 - score for score in hard]


def _groups(rows: Sequence[Outcome]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {"mixed": [at for at, row in enumerate(rows) if row.set in MIXED]}
    for at, row in enumerate(rows):
        groups.setdefault(row.set, []).append(at)
    for at, row in enumerate(rows):
        groups.setdefault(f"  {row.kind}", []).append(at)
    return {name: members for name, members in groups.items() if members}


def _measured(
    router: str,
    name: str,
    members: Sequence[int],
    rows: Sequence[Outcome],
    gain: Sequence[float],
    ok_local: Sequence[float],
) -> Measured:
    def of(picked: Sequence[int]) -> Quality:
        large = [rows[at].large for at in picked]
        return quality(
            [gain[at] for at in picked],
            [ok_local[at] for at in picked],
            [rows[at].small for at in picked],
            [] if None in large else [value for value in large if value is not None],
        )

    def resampled(measure: Callable[[Quality], float]) -> tuple[float, float]:
        return interval(lambda picked: measure(of([members[at] for at in picked])), len(members), rounds=100)

    return Measured(router, name, of(members), resampled(lambda q: q.auc_local), resampled(lambda q: q.apgr))


@dataclass(frozen=True, slots=True)
class OwnPast:
    """How the decision did on this user's requests whose answers told something of themselves."""

    judged: int
    local: int
    local_good: int
    cloud_good: int
    expected_local: float
    ece_local: float


def on_past(history: Sequence[Past]) -> OwnPast:
    """Outcomes of the user's own turns: pushed back on or escalated, or not."""
    judged = [item for item in history if item.ok is not None]
    local = [item for item in judged if item.event.side == "local" and item.event.ok_local is not None]
    said = [item.event.ok_local or 0.0 for item in local]
    good = [float(bool(item.ok)) for item in local]
    return OwnPast(
        judged=len(judged),
        local=len(local),
        local_good=round(sum(good)),
        cloud_good=sum(bool(item.ok) for item in judged if item.event.side == "cloud"),
        expected_local=sum(said) / len(said) if said else math.nan,
        ece_local=ece(said, good) if said else math.nan,
    )
