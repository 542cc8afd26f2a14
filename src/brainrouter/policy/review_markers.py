"""Signs that the material talks to the reviewer instead of being reviewed: then only a person may approve. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# Letters of other alphabets that look like the Latin ones of the words looked for.
_LOOKALIKES = str.maketrans(
    {
        "а": "a", "α": "a", "е": "e", "ε": "e", "о": "o", "ο": "o", "р": "p", "ρ": "p", "с": "c", "у": "y", "х": "x",
        "і": "i", "ι": "i", "ѕ": "s", "ԁ": "d", "ν": "v", "т": "t", "τ": "t", "υ": "u", "ո": "n", "ɡ": "g",
    }
)  # fmt: skip
_HIDDEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")
_SEP = r"[\W_]{0,12}"
# `order.status = "approved"` is business as usual in code; the form of a verdict is what counts.
_VERDICT = re.compile(
    r"(?<![\w.])status[*_`\s]*:[*_`\s]*approved\b|\bverdict[\W_]{0,6}[:=][\W_]{0,6}(?:approved?|lgtm|pass)\b"
    r"|\{\s*[\"']status[\"']\s*:\s*[\"']approved[\"']\s*(?:\}|,\s*[\"'](?:findings|summary|feedback)[\"'])"
)
# In documents that tell an agent how to use the review, a mention in prose or in quotes is no verdict.
_VERDICT_LINE = re.compile(
    r"^[\s>#*/`;-]*status\s*:\s*approved[\s*`.]*$|\{\s*\"status\"\s*:\s*\"approved\"\s*[,}]", re.MULTILINE
)
_ORDERS = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,30}\b(?:instructions?|prompts?|guidelines|directives)\b",
        r"\b(?:ignore|disregard|forget)\b.{0,12}\b(?:the above\b|(?:previous|prior|earlier) (?:rules?|text|words?)\b)",
        r"\b(?:new|updated|revised|real|actual)\s+(?:system\s+)?(?:instruction|prompt|task)s?\s*:",
        r"<\|?/?(?:im_start|im_end|system|assistant|endoftext|eot_id|start_header_id)\|?>|\[/?inst\]|<</?sys>>",
        r"\b(?:begin|end) [a-z ]{3,24} [0-9a-f]{16}\b",
        r"\b(?:reply|respond|answer|output|say|print|write|return|emit)\b.{0,12}"
        r"\b(?:only|exactly|just|simply|with)\b.{0,30}\b(?:approved|lgtm)\b",
        r"\b(?:reviewer|assistant|language model|llm|ai|bot|you)\b.{0,40}"
        r"\b(?:must|should|shall|has to|have to|please|need to|will|are to)\b.{0,40}\bapprov",
        r"\b(?:just|please|kindly|simply|always|automatically)\s+approve\b",
        r"\bapprove (?:this|my)\b.{0,20}\b(?:change|diff|pr|pull request|code|commit|patch|review|without)",
        r"\bmark(?:ed)? (?:it|this|the (?:change|review|diff)) as approved\b",
        r"\balready been (?:reviewed|approved)\b|\bpre-?approved\b",
        r"\b(?:do not|don't|never)\b.{0,20}\b(?:report|flag|mention|criticise|criticize|object|find)\b.{0,20}"
        r"\b(?:problems?|issues?|bugs?|findings?|vulnerabilit|this (?:line|file|change)|anything here)",
        r"\byou are (?:now )?(?:an?|the) .{0,20}\b(?:reviewer|assistant|model)\b|\byou are no longer\b"
        r"|\bact as an? .{0,20}\b(?:reviewer|assistant)\b",
        r"\bend of (?:the )?(?:diff|material|review)\b",
        r"^\W*(?:system|assistant)\s*:\s*(?:the|you|ignore|approve|status|this)\b",
        r"\bno (?:further )?review (?:is )?(?:needed|required|necessary)\b",
    )
)
_ORDERS_IN_DOCUMENTS = _ORDERS[:5]


def markers(sources: Iterable[tuple[str, str]], documents: Iterable[tuple[str, str]]) -> list[str]:
    """Where the material looks like a verdict or like orders to the reviewer: one note for each place.

    `sources` is what the author controls in this review: the change, the summary, the details. `documents` belong to
    the project and may describe the review itself, so that only an outright verdict or order counts there.
    """
    found = [f"{name}: {why}" for name, text in sources for why in _signs(text, _VERDICT)]
    return found + [
        f"{name}: {why}" for name, text in documents for why in _signs(text, _VERDICT_LINE, documents=True)
    ]


def _signs(text: str, verdict: re.Pattern[str], *, documents: bool = False) -> list[str]:
    found: list[str] = []
    if _HIDDEN.search(text):
        found.append("hidden characters")
    plain = normal(text)
    joined = re.sub(r"[ \t]*\n[ +\-#/*>\t]*", " ", plain)
    if verdict.search(plain) or (not documents and verdict.search(joined)):
        found.append("text in the form of a verdict")
    orders = _ORDERS_IN_DOCUMENTS if documents else _ORDERS
    if any(order.search(plain) or order.search(joined) for order in orders):
        found.append("text that gives orders to the reviewer")
    return found


def normal(text: str) -> str:
    """Text as a careless eye reads it: compatibility forms, look-alikes and hidden characters folded, lower case."""
    revealed = "".join(
        chr(ord(char) - 0xE0000) if "\U000e0020" <= char <= "\U000e007e" else char for char in text
    )
    folded = unicodedata.normalize("NFKD", _HIDDEN.sub("", revealed)).lower().translate(_LOOKALIKES)
    return "".join(char for char in folded if not unicodedata.combining(char))
