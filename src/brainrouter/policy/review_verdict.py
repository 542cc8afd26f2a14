"""From the reviewer's words to the outcome of a round. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from brainrouter.policy.review_evidence import Evidence, feedback_text
from brainrouter.policy.review_reply import ReadReply
from brainrouter.policy.review_session import Outcome


def outcome_of(reply: ReadReply, evidence: Evidence, markers: Sequence[str]) -> Outcome:
    """What a readable reply means. Material that talks to the reviewer may be refused; only a person approves it."""
    if reply.status == "approved":
        if markers:
            return Outcome("escalated", reply.text, reason=f"the reviewer approved, but {suspicion(markers)}")
        return Outcome("approved", reply.text or "Approved.")
    findings = tuple(evidence.check(objection) for objection in reply.objections)
    text = reply.text or "The reviewer asks for changes and does not say which."
    return Outcome("needs_revision", feedback_text(text, findings), findings)


def needs_quotes(outcome: Outcome) -> bool:
    """Whether the reviewer objects without quoting a single line that is there: worth one more try."""
    return outcome.status == "needs_revision" and not any(finding.verified for finding in outcome.findings)


def suspicion(markers: Sequence[str]) -> str:
    """Markers in words for a reason."""
    more = f" and {len(markers) - 3} more" if len(markers) > 3 else ""
    return f"the material is suspicious ({'; '.join(markers[:3])}{more})"
