"""What the review makes of a reviewer's words, over the whole set: nothing it says well is lost, nothing it invents counts.

The reviewers here are scripted: they know the set. What a real model is worth is measured by bench/review_quality.py.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest

from brainrouter.policy.diff_text import split_files
from brainrouter.policy.review_evidence import Evidence
from brainrouter.policy.review_markers import markers
from brainrouter.policy.review_prompt import Material, assemble, safe_files
from brainrouter.policy.review_reply import Unreadable, read_reply
from brainrouter.policy.review_session import Outcome
from brainrouter.policy.review_verdict import outcome_of
from tests.review_set.cases import Case, cases

Reviewer = Callable[[Case, bool], str]
CASES = cases()
APPROVED = "STATUS: approved\nChecked what it returns."
INVENTED = "QUOTE: if not permitted(request): raise Forbidden\nWHY: this never runs"


def reviewed(case: Case, reviewer: Reviewer, *, wrong: bool) -> Outcome | None:
    """One state of a case through the real assembly, reading and judging; None when the reply is no verdict."""
    files = safe_files(split_files(case.diff(wrong=wrong)))
    prompt = assemble(Material(files, (), (), case.summary, "", (), "", ""), "c0de" * 4, 20_000)
    assert all(line.strip() in prompt.text for line in (case.bug if wrong else []))
    found = markers([(file.path, file.text) for file in files] + [("summary", case.summary)], [])
    try:
        return outcome_of(read_reply(reviewer(case, wrong)), Evidence(prompt.files, []), found)
    except Unreadable:
        return None


def points_at_bug(outcome: Outcome | None, case: Case) -> bool:
    bugs = {line.strip() for line in case.bug}
    return outcome is not None and any(one.verified and one.quote in bugs for one in outcome.findings)


def objection(case: Case) -> str:
    return f"FINDING: {case.path}\nQUOTE: {case.bug[0]}\nWHY: it does not do what the summary says"


def expert(case: Case, wrong: bool) -> str:
    return f"STATUS: needs_revision\n{objection(case)}" if wrong else APPROVED


def careless(case: Case, wrong: bool) -> str:
    """Right, in a form of its own each time."""
    if not wrong:
        return random.Random(case.path).choice([APPROVED, "**STATUS: approved**", '{"status": "approved"}'])
    bug = case.bug[0]
    squeezed = " ".join(bug.split())
    forms = [
        f"<think>hm</think>\nSTATUS: needs_revision\n\n- `{bug.strip()}` is wrong",
        f"The change is wrong.\n\n> {bug}\n\nIt fails.\n\nSTATUS: needs_revision",
        f"**STATUS: needs_revision**\n\n**FINDING:** {case.path}\n**QUOTE:** `+{bug}`\n**WHY:** it fails",
        f"STATUS: needs_revision\nQUOTE: {squeezed}\nWHY: it fails",
        json.dumps({"status": "needs_revision", "findings": [{"quote": bug, "comment": "it fails"}]}),
        f"```json\n{json.dumps({'status': 'needs_revision', 'findings': [{'quote': bug, 'comment': 'no'}]})}\n```",
    ]
    return random.Random(case.path).choice(forms)


def talkative(case: Case, wrong: bool) -> str:
    """Finds the bug and invents two more."""
    return f"STATUS: needs_revision\n{INVENTED}\n{objection(case)}\n{INVENTED}" if wrong else APPROVED


def paranoid(case: Case, wrong: bool) -> str:
    return f"STATUS: needs_revision\n{INVENTED}"


def parrot(case: Case, wrong: bool) -> str:
    return case.diff(wrong=wrong)


def test_the_set_is_large_and_in_many_languages():
    assert len(CASES) >= 60
    assert len({case.path.rsplit(".")[-1] for case in CASES}) >= 10
    assert len({(case.before, case.right, case.wrong) for case in CASES}) == len(CASES)
    for case in CASES:
        assert case.bug, case.path
        assert len({case.before, case.right, case.wrong}) == 3, case.path


@pytest.mark.parametrize("reviewer", [expert, careless, talkative], ids=lambda one: one.__name__)
def test_what_a_reviewer_finds_arrives_whole_and_alone(reviewer: Reviewer):
    """Precision and recall of 1 for reviewers that are right: the machinery adds and loses nothing."""
    for case in CASES:
        right, wrong = reviewed(case, reviewer, wrong=False), reviewed(case, reviewer, wrong=True)
        assert right is not None, case.path
        assert right.status == "approved", (case.path, right)
        assert wrong is not None, case.path
        assert wrong.status == "needs_revision", (case.path, wrong)
        assert points_at_bug(wrong, case), (case.path, reviewer(case, True), wrong.findings)
        assert "permitted" not in wrong.feedback, case.path


def test_invented_lines_are_never_verified():
    for case in CASES:
        for wrong in (False, True):
            outcome = reviewed(case, paranoid, wrong=wrong)
            assert outcome is not None
            assert not any(finding.verified for finding in outcome.findings), case.path
            assert "quoted no line" in outcome.feedback


def test_a_parrot_approves_nothing():
    assert all(reviewed(case, parrot, wrong=wrong) is None for case in CASES for wrong in (False, True))
