"""Reviews as others see them: the row of a list, the whole session, the answer to a harness."""

from __future__ import annotations

from typing import Any

import msgspec

from brainrouter.policy.review_session import Finding, Session, Status, feedback_of, next_step

_INNER = ("base", "granted", "unchanged")  # ours alone
_LONG = ("rounds", "messages", "details", "conversationHistory")


class Answer(msgspec.Struct, rename="camel", frozen=True):
    """What a harness gets when a round is over."""

    session_id: str
    task_id: str
    status: Status
    iteration: int
    max_iterations: int
    feedback: str
    findings: list[Finding]
    reason: str | None
    unchanged: bool
    review_url: str
    next: str


def answer_of(session: Session, address: str, *, unchanged: bool = False) -> Answer:
    """The state of a session for the harness that works on it."""
    url = page_of(session.id, address)
    feedback = feedback_of(session)
    if session.status == "escalated":
        feedback = f"A person has to look at this: {session.reason}. See {url}\n\n{feedback}".strip()
    last = session.rounds[-1] if session.rounds else None
    return Answer(
        session.id, session.task_id, session.status, session.iteration, session.max_iterations, feedback,
        [] if last is None or session.status == "approved" else last.findings, session.reason, unchanged, url,
        next_step(session, url),
    )  # fmt: skip


def row_of(session: Session, address: str) -> dict[str, Any]:
    """A session in a list."""
    return {name: value for name, value in _plain(session, address).items() if name not in _LONG}


def detail_of(session: Session, address: str) -> dict[str, Any]:
    """Everything of a session but what is ours alone."""
    shown = _plain(session, address)
    for round_ in shown["rounds"]:
        del round_["digest"], round_["delivered"]
    return shown


def page_of(session_id: str, address: str) -> str:
    """The address of the page on which a person reads and decides."""
    return f"{address}/review/session/{session_id}"


def _plain(session: Session, address: str) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(session)
    for name in _INNER:
        del shown[name]
    return {**shown, "iteration": session.iteration, "reviewUrl": page_of(session.id, address)}
