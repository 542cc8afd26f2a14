"""What the reviewing model answered, read strictly: one verdict at the edge of the reply, or none at all. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

import msgspec

from brainrouter.policy.review_session import Finding

Verdict = Literal["approved", "needs_revision"]

FINDINGS_MAX = 50
TEXT_MAX_CHARS = 20_000
_STATUS = re.compile(r"[*_`#\s]*STATUS[*_`]*\s*:\s*[*_`]*(approved|needs_revision)[*_`.\s]*", re.IGNORECASE)
_THOUGHT = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
_FENCED = re.compile(r"\A```(?:json)?[ \t]*\n(.*)\n```\Z", re.DOTALL)
_FIELD = re.compile(r"^[*_#\-\s]*(FINDING|FILE|QUOTE|WHY|COMMENT)[*_]*\s*:[*_]*\s*(.*)$", re.IGNORECASE)
_ITEM = re.compile(r"^\s{0,3}(?:[-*+]|\d{1,2}[.)])\s+")
_SPAN = re.compile(r"`([^`\n]{3,})`")


class Unreadable(Exception):
    """Why a reply is no verdict, in words for the model that is asked again."""


@dataclass(frozen=True, slots=True)
class Objection:
    """One problem as the model put it, with every text in it that may be a quoted line."""

    comment: str
    quotes: tuple[str, ...]
    file: str | None = None


@dataclass(frozen=True, slots=True)
class ReadReply:
    """A verdict, its objections, and the words around them."""

    status: Verdict
    text: str
    objections: tuple[Objection, ...]


class _JsonFinding(msgspec.Struct):
    comment: str
    quote: str | None = None
    file: str | None = None


class _JsonVerdict(msgspec.Struct):
    status: Verdict
    findings: list[_JsonFinding] = []
    summary: str | None = None
    feedback: str | None = None


def read_reply(text: str) -> ReadReply:
    """The verdict in a model's reply. Raises Unreadable when there is none, more than one, or it is not at the edge."""
    said = _THOUGHT.sub("", text[: 4 * TEXT_MAX_CHARS], count=1).strip()
    if not said:
        raise Unreadable("the answer was empty")
    if said.startswith(("<think>", "<thinking>")):
        raise Unreadable("the answer ended within the thinking")
    as_json = _json_body(said)
    if as_json is not None:
        return _from_json(as_json)
    rows = said.split("\n")
    verdicts = [index for index, row in enumerate(rows) if _STATUS.fullmatch(row)]
    if not verdicts:
        raise Unreadable("there is no line `STATUS: approved` or `STATUS: needs_revision`")
    if len(verdicts) > 1:
        raise Unreadable("there is more than one STATUS line")
    if verdicts[0] not in (0, len(rows) - 1):
        raise Unreadable("the STATUS line must be the first line of the answer")
    found = _STATUS.fullmatch(rows[verdicts[0]])
    assert found is not None
    status = cast("Verdict", found[1].lower())
    rest = [row for index, row in enumerate(rows) if index != verdicts[0]]
    if _hides_verdict("\n".join(rest)):
        raise Unreadable("there is a second verdict in the answer")
    objecting = any((field := _FIELD.match(row)) and field[1].upper() in ("FINDING", "QUOTE") for row in rest)
    if status == "approved" and objecting:
        raise Unreadable("it approves and objects at once")
    return ReadReply(status, "\n".join(rest).strip()[:TEXT_MAX_CHARS], _objections(rest) if rest else ())


def as_findings(objections: tuple[Objection, ...]) -> tuple[Finding, ...]:
    """Objections as findings that nothing is known of yet."""
    return tuple(Finding(item.comment, item.quotes[0] if item.quotes else None) for item in objections)


def _json_body(said: str) -> str | None:
    fenced = _FENCED.match(said)
    body = fenced[1].strip() if fenced else said
    return body if body.startswith("{") and body.endswith("}") else None


def _from_json(body: str) -> ReadReply:
    try:
        verdict = msgspec.json.decode(body, type=_JsonVerdict)
    except (ValueError, RecursionError) as wrong:
        raise Unreadable(f"the JSON is not a verdict: {wrong}") from None
    objections = tuple(
        Objection(item.comment.strip(), (item.quote,) if item.quote else (), item.file)
        for item in verdict.findings[:FINDINGS_MAX]
        if item.comment.strip()
    )
    text = verdict.feedback or verdict.summary or "\n".join(item.comment for item in objections)
    return ReadReply(verdict.status, text.strip()[:TEXT_MAX_CHARS], objections)


def _hides_verdict(text: str) -> bool:
    return (
        re.search(r"[\"']?status[\"']?\s*:\s*[\"'](?:approved|needs_revision)[\"']\s*[,}]", text, re.I)
        is not None
    )


def _objections(rows: list[str]) -> tuple[Objection, ...]:
    """The problems in free text: FINDING blocks, else list items, else paragraphs."""
    fields = [_FIELD.match(row) for row in rows]
    if any(found and found[1].upper() in ("FINDING", "QUOTE") for found in fields):
        return tuple(_from_fields(rows))[:FINDINGS_MAX]
    blocks: list[list[str]] = []
    fenced = False
    for row in rows:
        if not fenced and (_ITEM.match(row) or not row.strip()):
            blocks.append([])
        fenced ^= row.lstrip().startswith("```")
        if not blocks:
            blocks.append([])
        blocks[-1].append(row)
    texts = ["\n".join(block).strip() for block in blocks]
    return tuple(Objection(_ITEM.sub("", text, count=1), _quotes(text)) for text in texts if text)[
        :FINDINGS_MAX
    ]


def _from_fields(rows: list[str]) -> list[Objection]:
    found: list[Objection] = []
    file: str | None = None
    quotes: list[str] = []
    words: list[str] = []

    def close() -> None:
        nonlocal file
        comment = "\n".join(words).strip()
        if comment or quotes:
            found.append(Objection(comment or quotes[0], (*quotes, *_quotes(comment)), file))
        file = None
        quotes.clear()
        words.clear()

    for row in rows:
        field = _FIELD.match(row)
        name = field[1].upper() if field else ""
        value = field[2].strip() if field else ""
        if name == "FINDING" or (name == "QUOTE" and quotes and words):
            close()
        if name in ("FINDING", "FILE"):
            file = value.strip("`* ") or None
        elif name == "QUOTE":
            quotes.append(value.strip("`"))
        else:
            words.append(value if field else row)
    close()
    return found


def _quotes(text: str) -> tuple[str, ...]:
    """Every part of a text that may be a line quoted from the material."""
    quoted = [row.strip().lstrip("> ") for row in text.split("\n") if row.strip().startswith(">")]
    fenced = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    blocks = [row.strip() for block in fenced for row in block.split("\n") if row.strip()]
    return (*quoted, *blocks, *_SPAN.findall(text))
