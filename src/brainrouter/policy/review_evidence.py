"""Whether an objection points at something that is there: its quoted line is looked up in what was reviewed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from brainrouter.policy.diff_text import FileDiff, Line, lines_of
from brainrouter.policy.review_reply import Objection
from brainrouter.policy.review_session import Finding

QUOTE_MIN_CHARS = 8  # a shorter piece of a line is found everywhere; a whole line may be as short as it is
_BLANKS = re.compile(r"\s+")


class Evidence:
    """The lines that may be quoted: of the change first, then of the documents and of the author's words."""

    def __init__(self, files: Sequence[FileDiff], documents: Iterable[tuple[str, str]]) -> None:
        self._lines = [line for file in files for line in lines_of(file)]
        self._lines.sort(
            key=lambda line: line.sign == " "
        )  # a changed line before one that only stands around it
        for name, text in documents:
            self._lines += [Line(name, number, row, "") for number, row in enumerate(text.split("\n"), 1)]
        self._plain = [_plain(line.text) for line in self._lines]

    def check(self, objection: Objection) -> Finding:
        """The objection as a finding: verified with its place, or marked as quoting nothing that is there."""
        for quote in objection.quotes:
            line = self._find(quote, objection.file)
            if line is not None:
                return Finding(objection.comment, line.text.strip(), line.path, line.number, verified=True)
        return Finding(objection.comment, objection.quotes[0] if objection.quotes else None)

    def _find(self, quote: str, file: str | None) -> Line | None:
        for wanted in dict.fromkeys((_plain(quote), _plain(quote.strip().lstrip("+-")))):
            if not wanted:
                continue
            exact = [line for line, text in zip(self._lines, self._plain, strict=True) if text == wanted]
            if not exact and len(wanted) >= QUOTE_MIN_CHARS:
                exact = [line for line, text in zip(self._lines, self._plain, strict=True) if wanted in text]
            if exact:
                return next((line for line in exact if file and line.path.endswith(file)), exact[0])
        return None


def feedback_text(text: str, findings: Sequence[Finding]) -> str:
    """What goes back to the author: verified findings with their places; without any, the reviewer's words, marked."""
    verified = [finding for finding in findings if finding.verified]
    if not verified:
        return f"{text}\n\n(The reviewer quoted no line that is in the change: check before you act on it.)".strip()
    return "\n\n".join(_shown(finding) for finding in verified)


def _shown(finding: Finding) -> str:
    place = f"{finding.file}:{finding.line}" if finding.line else f"{finding.file} (removed line)"
    return f"{place}\n> {finding.quote}\n{finding.comment}"


def _plain(text: str) -> str:
    return _BLANKS.sub(" ", text).strip()
