"""What this session tells of the model that works on it: signs that it is out of its depth. Pure.

Each sign names itself, so that an event can say why a session was escalated.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import msgspec

from brainrouter.brain.transcript import Step

REPEATED_CALLS = 3
REPEATED_ERRORS = 2
FAILED_CHECKS = 2
_ERROR_HEAD = 160

_ERRORS = re.compile(
    r"Traceback \(most recent|\b[A-Z]\w*(?:Error|Exception)\b|^error(?:\[\w+\])?:|\bfatal:|panicked at|"
    r"command not found|No such file|exit(?:ed with)?(?: code| status)?:? [1-9]|"
    r"String to replace not found|old_string|did not match|"
    r"[Uu]nknown tool|[Ii]nvalid (?:arguments|tool|parameters)",
    re.MULTILINE,
)
_BAD_CALL = re.compile(
    r"[Uu]nknown tool|[Nn]o such tool|tool .{0,40}not (?:found|available)|"
    r"[Ii]nvalid (?:tool )?(?:arguments|parameters|input)|"
    r"InputValidationError|[Uu]nsupported call|failed to parse|missing required|not valid JSON",
)
_CHECK = re.compile(
    r"\b\d+ (?:failed|failing|errors?)\b|^FAILED\b|^FAIL\b|\bFAILURES\b|test result: FAILED|BUILD FAILED|"
    r"compilation failed|error(?:\[E\d+\]| TS\d+|: cannot find symbol|: expected)|SyntaxError|AssertionError|npm ERR!",
    re.MULTILINE,
)
_EDIT = re.compile(r"edit|write|patch|replace|create|apply", re.IGNORECASE)
_PUSHBACK = re.compile(
    r"\b(?:still (?:broken|failing|fails|not|doesn'?t|the same|wrong|an? error)|"
    r"(?:does ?n'?t|did ?n'?t|not) work(?:ing)?|"
    r"that'?s (?:wrong|not (?:right|what|it))|you (?:broke|forgot|missed|ignored)|same (?:error|problem|issue)|"
    r"wrong again|try again|not fixed|i (?:already )?(?:told|asked) you|"
    r"(?:undo|revert) (?:that|this))\b|^no[,.! ]",
    re.IGNORECASE,
)
_NUMBERS = re.compile(r"0x[0-9a-f]+|\d+")


def in_loop(steps: Sequence[Step], turn_budget: int) -> str | None:
    """A sign in what happened since the user last spoke, or None. Asked only of a model that may be replaced."""
    calls = [step for step in steps if step.kind == "call"]
    results = [step for step in steps if step.kind == "result"]
    if calls and not _is_json(calls[-1].text) and calls[-1].text.lstrip().startswith(("{", "[")):
        return "malformed tool call"
    if results and _BAD_CALL.search(results[-1].text[:600]) and _failed(results[-1]):
        bad = sum(1 for step in results if _failed(step) and _BAD_CALL.search(step.text[:600]))
        if bad >= REPEATED_ERRORS:
            return "tool calls that the harness refused"
    repeated = _most(Counter(f"{step.name} {step.text}" for step in calls))
    if repeated >= REPEATED_CALLS:
        return f"the same tool call {repeated} times"
    repeated = _most(Counter(_print_of(step.text) for step in results if _failed(step)))
    if repeated > REPEATED_ERRORS:
        return f"the same error {repeated} times"
    failed = failed_checks(steps)
    if failed >= FAILED_CHECKS:
        return f"tests or build failed {failed} times after an edit"
    if len(calls) >= turn_budget:
        return f"no end after {len(calls)} tool calls"
    return None


def failed_checks(steps: Sequence[Step]) -> int:
    """How often tests or a build failed after an edit, with no success since."""
    edited, failed = False, 0
    checking = False
    for step in steps:
        if step.kind == "call":
            edited = edited or bool(_EDIT.search(step.name))
            checking = not _EDIT.search(step.name)
        elif step.kind == "result" and checking and edited:
            if _CHECK.search(step.text):
                failed += 1
                edited = False
            elif re.search(r"\b\d+ passed\b|\bOK\b|BUILD SUCCESS", step.text):
                failed = 0
    return failed


def pushback(text: str, before: str) -> str | None:
    """A sign in what the user says after a model's turn: complaint, or the same request once more."""
    if _PUSHBACK.search(text[:300]):
        return "the user pushed back"
    if before and len(text) > 12 and _same(text, before):
        return "the user asked for the same again"
    return None


def looping(text: str) -> bool:
    """Whether a text turns in circles: a line or a phrase of some length that keeps coming."""
    if len(text) < 400:
        return False
    lines = [line.strip() for line in text.splitlines() if len(line.strip()) > 12]
    if len(lines) >= 8 and _most(Counter(lines)) > len(lines) / 2:
        return True
    end = text[-40:]
    return text.count(end) >= 6


def _failed(step: Step) -> bool:
    return step.error or bool(_ERRORS.search(step.text[:2000]))


def _print_of(text: str) -> str:
    """An error's fingerprint: without line numbers and addresses."""
    found = _ERRORS.search(text)
    at = found.start() if found else 0
    return _NUMBERS.sub("#", text[at : at + _ERROR_HEAD])


def _most(counts: Counter[str]) -> int:
    return max(counts.values(), default=0)


def _same(one: str, other: str) -> bool:
    a, b = set(one.lower().split()), set(other.lower().split())
    return bool(a) and len(a & b) / len(a | b) > 0.85


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return False
    return True
