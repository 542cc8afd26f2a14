"""A review from its first call to its end: what is kept of it, and which step may follow which. Pure.

pending --round ends--> approved | needs_revision | escalated
needs_revision | escalated --the author or a person asks again--> pending
any but running --a person resolves--> approved | needs_revision
"""

from __future__ import annotations

from typing import Literal

import msgspec

Status = Literal["pending", "approved", "needs_revision", "escalated"]
Role = Literal["author", "reviewer", "human", "system"]

APPROVING_WORDS = frozenset({"lgtm", "ok", "approved"})
# The same code, asked about again: the model is not asked anew, and after this many times a person decides.
UNCHANGED_MAX = 3


class WrongState(Exception):
    """A step that this state does not allow, in words for the caller."""


class Finding(msgspec.Struct, rename="camel", frozen=True):
    """One objection. `verified`: the quoted line is really in what was reviewed; only then is the place known."""

    comment: str
    quote: str | None = None
    file: str | None = None
    line: int | None = None
    verified: bool = False


class FileRow(msgspec.Struct, rename="camel", frozen=True):
    """One file of a change, for the eye."""

    path: str
    added: int
    removed: int
    note: str | None = None


class Message(msgspec.Struct, rename="camel", frozen=True):
    """One thing that was said."""

    role: Role
    time: float
    iteration: int
    text: str


class Round(msgspec.Struct, rename="camel"):
    """One look of the reviewer at one state of the code."""

    iteration: int
    started_at: float
    ended_at: float | None = None
    status: Status = "pending"
    reason: str | None = None
    feedback: str = ""
    findings: list[Finding] = []
    files: list[FileRow] = []
    diff: str = ""
    changed_since: str = ""
    context: list[str] = []
    notes: list[str] = []
    model: str | None = None
    side: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reply: str = ""
    repaired: bool = False
    digest: str | None = None
    delivered: bool = False


class Session(msgspec.Struct, rename="camel"):
    """A review. `base` is the commit that all rounds compare with, so that commits made meanwhile stay in view."""

    id: str
    task_id: str
    cwd: str
    summary: str
    created_at: float
    updated_at: float
    max_iterations: int
    status: Status = "pending"
    reason: str | None = None
    running: bool = False
    interrupted: bool = False
    reviewer_type: Literal["llm", "human"] | None = None
    harness: str | None = None
    details: str | None = None
    conversation_history: list[str] = []
    messages: list[Message] = []
    rounds: list[Round] = []
    base: str | None = None
    granted: int = 0
    unchanged: int = 0

    @property
    def iteration(self) -> int:
        """Rounds begun."""
        return len(self.rounds)


class Outcome(msgspec.Struct, frozen=True):
    """How a round ended."""

    status: Status
    feedback: str = ""
    findings: tuple[Finding, ...] = ()
    reason: str | None = None


def ask_again(session: Session, summary: str, details: str | None, history: list[str], now: float) -> None:
    """The author came (back) with a summary."""
    session.summary, session.details, session.conversation_history = summary, details, history
    _say(session, "author", summary if not details else f"{summary}\n\n{details}", now, session.iteration + 1)


def begin_round(session: Session, now: float) -> Round:
    """Open the next round; one that was interrupted is taken up again as the same iteration. Raises WrongState."""
    if session.running:
        raise WrongState("a round of this review is running")
    if session.status == "approved":
        raise WrongState("this review is approved")
    if session.rounds and session.rounds[-1].ended_at is None:
        session.rounds.pop()
    opened = Round(session.iteration + 1, now)
    session.rounds.append(opened)
    session.status, session.running, session.interrupted = "pending", True, False
    session.reason, session.unchanged, session.updated_at = None, 0, now
    return opened


def end_round(session: Session, outcome: Outcome, now: float) -> None:
    """Close the running round. The last round that is allowed escalates where it does not approve."""
    last = session.rounds[-1]
    status, reason = outcome.status, outcome.reason
    if status == "needs_revision" and session.iteration >= session.max_iterations:
        status, reason = "escalated", f"not approved after {session.iteration} rounds"
    last.ended_at, last.status, last.reason = now, outcome.status, outcome.reason
    last.feedback, last.findings = outcome.feedback, list(outcome.findings)
    session.status, session.reason, session.running = status, reason, False
    session.reviewer_type = "llm"
    session.updated_at = now
    if outcome.feedback:
        _say(session, "reviewer", outcome.feedback, now, last.iteration)
    if status == "escalated":
        _say(session, "system", f"A person has to look: {reason}.", now, last.iteration)


def interrupt(session: Session, now: float) -> None:
    """The daemon ended in the middle of a round: it shows, and the next call or a person takes it up again."""
    session.running, session.interrupted = False, True
    session.reason = "brainrouter was stopped during this round"
    _say(session, "system", "Interrupted: brainrouter was stopped during this round.", now, session.iteration)


def escalate(session: Session, reason: str, now: float) -> None:
    """Hand over to a person outside of a round."""
    session.status, session.reason, session.updated_at = "escalated", reason, now
    _say(session, "system", f"A person has to look: {reason}.", now, session.iteration)


def resolve(session: Session, feedback: str, now: float) -> None:
    """A person decides: exactly `lgtm`, `ok` or `approved` approves; any other text asks for changes.

    Raises WrongState.
    """
    if session.running:
        raise WrongState("a round of this review is running; wait for its end")
    said = feedback.strip()
    if not said:
        raise WrongState("feedback is empty; say `lgtm` to approve, or what should change")
    session.status = "approved" if said.lower() in APPROVING_WORDS else "needs_revision"
    session.reason, session.interrupted, session.reviewer_type = None, False, "human"
    session.unchanged, session.updated_at = 0, now
    if session.rounds:
        session.rounds[-1].delivered = False  # the author has not heard this word yet
    if session.status == "needs_revision":
        grant(session)
    _say(session, "human", said, now, session.iteration)


def grant(session: Session) -> None:
    """A person lets the review go on: the reviewer has as many rounds again, counted from here."""
    step = session.granted or session.max_iterations
    session.granted = step
    if session.iteration >= session.max_iterations:
        session.max_iterations = session.iteration + step


def note_to_reviewer(session: Session, text: str, now: float) -> None:
    """A person says something to the reviewer before the next round."""
    _say(session, "human", text, now, session.iteration + 1)


def still_unchanged(session: Session, now: float) -> None:
    """The author asked again about code that was judged already. After a few times a person decides."""
    last = session.rounds[-1]
    if last.delivered:
        session.unchanged += 1
    session.updated_at = now
    if session.unchanged >= UNCHANGED_MAX:
        escalate(session, f"the author asked {UNCHANGED_MAX} times again without changing the code", now)


def judged(session: Session, digest: str) -> bool:
    """Whether this state of the code has a result already that another look would not change."""
    if not session.rounds or session.status not in ("needs_revision", "approved"):
        return False
    last = session.rounds[-1]
    return last.ended_at is not None and last.digest == digest


def feedback_of(session: Session) -> str:
    """What the author should read now: a person's word when it came last, else the reviewer's."""
    for message in reversed(session.messages):
        if message.role in ("human", "reviewer"):
            return message.text
    return ""


def next_step(session: Session, url: str) -> str:
    """One sentence for the caller."""
    if session.status == "approved":
        return "The review is done; nothing is left to do."
    if session.status == "needs_revision":
        return (
            "Change the code according to the feedback, then call request_review again with the same taskId: "
            f"{max(0, session.max_iterations - session.iteration)} rounds are left."
        )
    if session.status == "escalated":
        return f"Stop here and tell the user: a person has to decide at {url}"
    return "The round has no result yet; call request_review again with the same taskId."


def _say(session: Session, role: Role, text: str, now: float, iteration: int) -> None:
    session.messages.append(Message(role, now, iteration, text))
    session.updated_at = now
