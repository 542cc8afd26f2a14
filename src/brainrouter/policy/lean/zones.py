"""The parts of a prompt that are the user's or the project's, by the marks that the harnesses set around them. Pure.

Nothing inside such a part is ever dropped, whatever its lines look like. Linear: a repository's text is in here.
"""

from __future__ import annotations

import re

Span = tuple[int, int]

# In the order: OpenCode, Codex, Codex, Codex, pi, pi, pi, omp, omp, omp, Droid, OpenCode and others, Claude's /memory.
_TAGS = (
    "env", "environment_context", "user_instructions", "instructions", "project_instructions", "project_context", "cwd",
    "repo-rules", "file", "workstation", "coding_guidelines", "mcp_instructions", "memory",
    "permissions instructions", "environment",
)  # fmt: skip
_OPEN = re.compile(rf"<({'|'.join(map(re.escape, _TAGS))})(?: [^<>\n]{{0,300}})?>", re.IGNORECASE)
# A line above which the harness speaks and below which a file, a list or a command's output is shown.
_SHOWN = re.compile(
    r"^(?:Contents of [^\n]+:|Instructions from: [^\n]+|# AGENTS\.md instructions for [^\n]+|# claudeMd)$",
    re.MULTILINE,
)
_SHOWN_END = re.compile(
    r"^(?:</system-reminder>|<mcp_instructions>|<available_skills>|Instructions from: |Contents of )",
    re.MULTILINE,
)
_LIST = re.compile(r"^(?:The following deferred tools [^\n]*|Deferred tools):$", re.MULTILINE)
_LIST_END = re.compile(r"^(?:</system-reminder>|[ \t]*$)", re.MULTILINE)
_COMMAND = re.compile(r"^% (?:pwd|ls|git|cat)\b[^\n]*$", re.MULTILINE)
_COMMAND_END = re.compile(r"^(?:</system-reminder>|% |#{1,2} |[ \t]*$)", re.MULTILINE)
_HEADED = re.compile(
    r"^(#{1,6}) (?:mcp server instructions|user'?s? instructions|custom instructions)\b.*$",
    re.IGNORECASE | re.MULTILINE,
)
# Facts about where the work happens, one a line.
_FACT = re.compile(
    r"^[ \t]*(?:[-*] )?(?:primary working directory|(?:current )?working directory|workspace root folder|absolute path|"
    r"cwd|(?:additional|workspace) (?:working )?directories|is (?:directory )?a git repo(?:sitory)?|platform|shell|os|"
    r"os version|arch|user system info|today'?s date|today|current date|timezone|current branch|main branch|status|"
    r"recent commits)(?: \([^\n()]*\))?(?::| is |$)[^\n]*$",
    re.IGNORECASE | re.MULTILINE,
)
_FACT_HINT = re.compile(r":|/|\d")
FACT_MAX = 400


def zones(text: str) -> list[Span]:
    """The spans that are kept, in order, none inside another."""
    spans = [
        *_tagged(text),
        *_shown(text, _SHOWN, _SHOWN_END),
        *_shown(text, _LIST, _LIST_END),
        *_shown(text, _COMMAND, _COMMAND_END),
        *_headed(text),
        *facts(text),
    ]
    spans.sort()
    merged: list[Span] = []
    for start, end in spans:
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif start < end:
            merged.append((start, end))
    return merged


def facts(text: str) -> list[Span]:
    """The lines that say where the work happens."""
    return [
        match.span()
        for match in _FACT.finditer(text)
        if match.end() - match.start() <= FACT_MAX and _FACT_HINT.search(match.group())
    ]


def unclosed(text: str) -> str:
    """The name of a part's tag that opens on a line of its own and never closes; empty where all do."""
    lower = text.lower()
    for opening in _OPEN.finditer(text):
        before = text[text.rfind("\n", 0, opening.start()) + 1 : opening.start()]
        if before.strip() or text[opening.end() : opening.end() + 1] not in ("", "\n"):
            continue
        name = opening.group(1).lower()
        if lower.rfind(f"</{name}>") < opening.end():
            return name
    return ""


def _tagged(text: str) -> list[Span]:
    spans: list[Span] = []
    unclosed: set[str] = set()
    at = 0
    for opening in _OPEN.finditer(text):
        name = opening.group(1).lower()
        if opening.start() < at or name in unclosed:
            continue
        closing = re.compile(f"</{re.escape(name)}>", re.IGNORECASE).search(text, opening.end())
        if closing is None:
            unclosed.add(name)
            continue
        at = closing.end()
        spans.append((opening.start(), at))
    return spans


def _shown(text: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> list[Span]:
    spans: list[Span] = []
    at = 0
    for mark in opening.finditer(text):
        if mark.start() < at:
            continue
        end = closing.search(text, mark.end() + 1)
        at = end.start() if end else len(text)
        spans.append((mark.start(), at))
    return spans


def _headed(text: str) -> list[Span]:
    spans: list[Span] = []
    at = 0
    for heading in _HEADED.finditer(text):
        if heading.start() < at:
            continue
        level = len(heading.group(1))
        after = re.compile(
            rf"^#{{1,{level}}} |^</system-reminder>|^The following skills are available", re.MULTILINE
        ).search(text, heading.end())
        at = after.start() if after else len(text)
        spans.append((heading.start(), at))
    return spans
