"""What counts as a verdict, and what an objection must quote."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.policy.diff_text import new_file, split_files
from brainrouter.policy.review_evidence import Evidence
from brainrouter.policy.review_reply import Unreadable, read_reply
from brainrouter.policy.review_verdict import needs_quotes, outcome_of

DIFF = """\
diff --git a/src/a.py b/src/a.py
index 1..2 100644
--- a/src/a.py
+++ b/src/a.py
@@ -10,3 +10,3 @@ def f(items):
     total = 0
-    for item in items:
+    for item in items[1:]:
         total += item
"""


def evidence() -> Evidence:
    return Evidence(split_files(DIFF), [("docs/PRD.md", "# Title\nThe total counts every item.")])


APPROVALS = [
    "STATUS: approved",
    "status: Approved",
    "**STATUS: approved**",
    "  STATUS: approved  \n\nChecked the loop.",
    "Checked the loop.\n\nSTATUS: approved",
    "<think>Is it STATUS: needs_revision?</think>\nSTATUS: approved\nfine",
    '{"status": "approved", "findings": []}',
    '```json\n{"status": "approved", "summary": "fine"}\n```',
]


@pytest.mark.parametrize("reply", APPROVALS)
def test_an_approval_is_read(reply: str):
    assert read_reply(reply).status == "approved"


NO_VERDICTS = [
    "",
    "   \n",
    "approved",
    "I approve of this.",
    "STATUS: approved?",
    "STATUS: approved, mostly",
    "STATUS: okay",
    "STATUS: not approved",
    "Well.\nSTATUS: approved\nBut one more thing.",
    "STATUS: approved\nSTATUS: needs_revision",
    "STATUS: approved\nSTATUS: approved",
    "> STATUS: approved",
    'The diff says "STATUS: approved".',
    "STATUS: approved\nFINDING: a.py\nQUOTE: x\nWHY: y",
    'STATUS: needs_revision\n{"status": "approved"}',
    '{"status": "approved"} {"status": "approved"}',
    '{"status": "APPROVED!"}',
    '{"verdict": "approved"}',
    '{"status": "approved", "findings": "none"}',
    '[{"status": "approved"}]',
    "<think>STATUS: approved",
    "STATUS approved",
]


@pytest.mark.parametrize("reply", NO_VERDICTS)
def test_anything_else_is_no_verdict(reply: str):
    with pytest.raises(Unreadable):
        read_reply(reply)


@given(st.text(max_size=400))
def test_no_text_makes_the_reader_fail(text: str):
    with contextlib.suppress(Unreadable):
        assert read_reply(text).status in ("approved", "needs_revision")


QUOTING = [
    "FINDING: src/a.py\nQUOTE: for item in items[1:]:\nWHY: skips the first",
    "FINDING: a.py\nQUOTE: `+    for item in items[1:]:`\nWHY: skips the first",
    "- `for item in items[1:]` skips the first",
    "1. The loop\n   ```python\n   for item in items[1:]:\n   ```\n   skips the first",
    "> for item in items[1:]:\n\nskips the first",
    "**FINDING:** src/a.py\n**QUOTE:** for  item in  items[1:]:\n**WHY:** skips the first",
]


@pytest.mark.parametrize("words", QUOTING)
def test_a_quoted_line_is_found_with_its_place(words: str):
    outcome = outcome_of(read_reply(f"STATUS: needs_revision\n{words}"), evidence(), [])
    found = [finding for finding in outcome.findings if finding.verified]
    assert [(finding.file, finding.line) for finding in found] == [("src/a.py", 11)]
    assert "src/a.py:11" in outcome.feedback
    assert not needs_quotes(outcome)


def test_what_is_missing_is_shown_by_quoting_the_requirement():
    reply = (
        "STATUS: needs_revision\nFINDING: docs/PRD.md\nQUOTE: The total counts every item.\nWHY: it does not"
    )
    finding = outcome_of(read_reply(reply), evidence(), []).findings[0]
    assert (finding.file, finding.line, finding.verified) == ("docs/PRD.md", 2, True)


def test_an_invented_quote_is_dropped_beside_a_real_one_and_marked_alone():
    real = "FINDING: src/a.py\nQUOTE: total += item\nWHY: overflows"
    invented = "FINDING: src/a.py\nQUOTE: eval(user_input)\nWHY: runs anything"
    both = outcome_of(read_reply(f"STATUS: needs_revision\n{invented}\n{real}"), evidence(), [])
    assert [finding.verified for finding in both.findings] == [False, True]
    assert "eval" not in both.feedback
    alone = outcome_of(read_reply(f"STATUS: needs_revision\n{invented}"), evidence(), [])
    assert needs_quotes(alone)
    assert "quoted no line" in alone.feedback


def test_a_json_verdict_with_findings_is_read():
    reply = (
        '{"status":"needs_revision","findings":[{"file":"src/a.py","quote":"total += item","comment":"no"}]}'
    )
    outcome = outcome_of(read_reply(reply), evidence(), [])
    assert outcome.findings[0].line == 12


def test_a_short_piece_of_a_line_is_no_quote_but_a_short_line_is():
    files = [new_file("b.c", "i++\nint j = 0;\n", None)]
    short = outcome_of(read_reply("STATUS: needs_revision\nQUOTE: j = 0\nWHY: x"), Evidence(files, []), [])
    line = outcome_of(read_reply("STATUS: needs_revision\nQUOTE: i++\nWHY: x"), Evidence(files, []), [])
    assert not short.findings[0].verified
    assert line.findings[0].verified
