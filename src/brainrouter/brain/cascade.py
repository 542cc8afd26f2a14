"""The decision: stages, cheapest first, each of which may settle it and says why. Pure; DESIGN 4.3.

Whoever asked, what is there, privacy, the window, the project's wish, the session's open tool loop, the kind of turn,
the evidence of the session, the two heads against the knob. The small model's opinion, where the heads are unsure, is
the caller's to get.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import structs

from brainrouter.brain.evidence import in_loop, pushback
from brainrouter.brain.heads import Heads, Score, logit, sigmoid
from brainrouter.brain.session import Session
from brainrouter.brain.shape import Tool
from brainrouter.brain.transcript import Transcript
from brainrouter.brain.turn_kind import HOUSEKEEPING, TurnKind
from brainrouter.brain.verdict import Verdict
from brainrouter.brain.window import fit
from brainrouter.wire.ask import Route

LOOP_ROOM = 0.7  # a user's turn goes local only if its tool loop has room to grow
MARGIN = 0.03  # nearer to the knob than this the heads are unsure
STAY = 0.04  # a switch must be worth this much more: the other side has to read the whole conversation anew
_NOTHING_NEW = re.compile(
    r"(?:y(?:es|ep|eah)?|ok(?:ay)?|sure|continue|go on|go ahead|proceed|do it|please do|next|resume|keep going|thanks?"
    r"|thank you|great|perfect|sounds good|looks good|lgtm|\d{1,2}|[a-e])"
    r"(?:[\s,!.]+(?:please|do it|continue|go ahead))?[\s!.]*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Question:
    """One request, read."""

    kind: TurnKind
    talk: Transcript
    text: str
    tools: Sequence[Tool]
    tokens: int


@dataclass(frozen=True, slots=True)
class Here:
    """What is there, and how this user wants it.

    `private` is the rule that forbids the cloud, `preferred` the one by which `auto` is local, if there are such.
    """

    cloud: bool
    local: bool
    window: int | None
    knob: float
    ability: float = 0.0
    turn_budget: int = 60
    private: str | None = None
    preferred: str | None = None
    asked: Literal["auto", "local", "cloud"] = "auto"
    asked_by: str = ""
    local_model: str | None = None


def score(heads: Heads | None, question: Question) -> Score | None:
    """The heads' estimate; None without heads or words to judge."""
    if heads is None or not question.text.strip():
        return None
    return heads.score(question.text, question.tools)


def moved(found: Score, ability: float) -> Score:
    """A score for a local model that is known to be more able than the usual one, or less (log odds)."""
    if not ability:
        return found
    ok_local = sigmoid(logit(found.ok_local) + ability)
    return Score(ok_local, found.ok_cloud, found.gain + found.ok_local - ok_local)


def decide(question: Question, session: Session, here: Here, found: Score | None) -> Verdict:
    """Where it goes. Moves `session` on: a user's turn is counted, a latch is set or let go."""
    outcome, spoke = None, question.kind in ("main", "subagent")
    trouble = pushback(question.text, session.last_text) if spoke else None
    if question.kind == "compaction":
        session.compacted()
    elif spoke:
        outcome = session.judged(trouble)
        session.user_spoke(question.text)
    verdict = (
        _asked(here)
        or _available(here)
        or _private(here)
        or _fitting(question, here)
        or _preferred(here)
        or _housekeeping(question)
        or _held(question, session, here)
        or _latched(session, trouble)
        or _unchanged(question, session)
        or _weighed(question, session, here, found)
    )
    verdict = structs.replace(
        verdict,
        kind=question.kind,
        knob=here.knob,
        session=session,
        private=here.private is not None or verdict.private,
        outcome=verdict.outcome or outcome,
    )
    if found is None:
        return verdict
    return structs.replace(verdict, gain=found.gain, ok_local=found.ok_local, ok_cloud=found.ok_cloud)


def _asked(here: Here) -> Verdict | None:
    if here.asked == "auto" or (here.asked == "cloud" and here.private):
        return None
    why = f"asked for {here.local_model or here.asked}"
    return Verdict(
        here.asked,
        f"{why} by {here.asked_by}" if here.asked_by else why,
        "explicit",
        model=here.local_model,
        private=here.asked == "local",
    )


def _available(here: Here) -> Verdict | None:
    if here.private is not None:
        return None
    if not here.cloud:
        return Verdict("local", "no cloud", "availability")
    if not here.local:
        return Verdict("cloud", "no local model", "availability")
    return None


def _private(here: Here) -> Verdict | None:
    return Verdict("local", f"kept local by {here.private}", "privacy") if here.private is not None else None


def _preferred(here: Here) -> Verdict | None:
    return (
        Verdict("local", f"kept local by {here.preferred}", "project") if here.preferred is not None else None
    )


def _fitting(question: Question, here: Here) -> Verdict | None:
    found = fit(question.tokens, here.window)
    if found.fits:
        return None
    return Verdict(
        "cloud", f"about {found.tokens} tokens do not fit the local window of {found.window}", "window"
    )


def _housekeeping(question: Question) -> Verdict | None:
    if question.kind not in HOUSEKEEPING:
        return None
    return Verdict("local", f"housekeeping: {question.kind}", "turn kind")


def _held(question: Question, session: Session, here: Here) -> Verdict | None:
    """Inside an open tool loop, and while a conversation is compacted, the side that knows it goes on."""
    if question.kind not in ("continuation", "compaction"):
        return None
    if question.kind == "compaction":
        side: Route = session.side or "local"
        return Verdict(side, f"compaction where the session is: {side}", "session")
    if session.side is None:
        return Verdict("cloud", "a tool loop that began before this daemon knew it", "session")
    if session.side == "local":
        sign = in_loop(question.talk.since_user(), here.turn_budget)
        if sign is not None:
            outcome = session.judged(sign)
            session.latch(sign)
            return Verdict("cloud", f"escalated: {sign}", "evidence", escalation=sign, outcome=outcome)
    return Verdict(session.side, f"tool loop stays {session.side}", "session")


def _latched(session: Session, trouble: str | None) -> Verdict | None:
    if session.side == "local" and session.latched is None and trouble is not None:
        session.latch(trouble)
        return Verdict("cloud", f"escalated: {trouble}", "evidence", escalation=trouble)
    if session.latched is not None:
        return Verdict("cloud", f"still escalated: {session.latched}", "evidence")
    return None


def _unchanged(question: Question, session: Session) -> Verdict | None:
    if session.side is None or not _NOTHING_NEW.fullmatch(question.text.strip()):
        return None
    return Verdict(session.side, f"nothing new asked: stays {session.side}", "session")


def _weighed(question: Question, session: Session, here: Here, found: Score | None) -> Verdict:
    if found is None:
        return Verdict("cloud", "no user text to judge", "default")
    if not fit(question.tokens, here.window, room=LOOP_ROOM).fits:
        return Verdict(
            "cloud", f"about {question.tokens} tokens leave a tool loop no room in {here.window}", "window"
        )
    price = here.knob
    if session.side is not None and not session.cold:
        price += STAY if session.side == "local" else -STAY
    route: Route = "cloud" if found.gain >= price else "local"
    sign = ">=" if route == "cloud" else "<"
    reason = f"local {found.ok_local:.0%} / cloud {found.ok_cloud:.0%} likely: gain {found.gain:.2f} {sign} {price:.2f}"
    return Verdict(route, reason, "heads", price=price, unsure=abs(found.gain - price) < MARGIN)
