"""What the small model reads to judge a request: a constant prefix with examples, the capped text, the question.

The prefix never changes while a worker lives, so that its keys and values are computed once. Length says nothing in it
on purpose: the hard examples are as often short as the easy ones are long.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Label = Literal["cloud", "local"]

INSTRUCTION = (
    "You route requests of programmers. Answer local if a small model can do it: routine edits, lookups, short "
    "explanations. Answer cloud if it needs deep reasoning: design, subtle bugs, many parts. One word."
)
SHOTS: tuple[tuple[str, Label], ...] = (
    ("Sort the imports at the top of main.py.", "local"),
    ("Two replicas apply the same log but end with different totals once a week. Find out why.", "cloud"),
    (
        "We renamed the company last month. Please go through the texts of the landing page and put the new name "
        "wherever the old one still stands.",
        "local",
    ),
    ("Make the scheduler lock-free.", "cloud"),
    ("what does the -p flag of mkdir do", "local"),
    (
        "Our importer keeps everything in memory. Rework it into a streaming pipeline with back-pressure, retries and "
        "exactly-once writes, and keep the plugin API.",
        "cloud",
    ),
    ("Add a test for the empty list to test_parse.py, like the one for None.", "local"),
    ("Is this token check safe against timing attacks? Prove it.", "cloud"),
    ("Show the last five commits.", "local"),
    ("Design tenant isolation for our job queue.", "cloud"),
    (
        "Here is a long stack trace from my first script, it ends in NameError: name 'pritn' is not defined. Could you "
        "tell me what I typed wrong and fix the line?",
        "local",
    ),
    ("The cache returns another user's page under load, only in production.", "cloud"),
    ("Write a docstring for area(width, height).", "local"),
    (
        "Memory grows by 2 MB an hour in the C++ gateway and valgrind is silent. Work out which owner keeps the "
        "buffers alive across the callbacks.",
        "cloud",
    ),
    ("Change the button colour to green.", "local"),
    ("Derive a tighter bound for the allocator's fragmentation.", "cloud"),
)
LABEL_FORMS: dict[Label, tuple[str, ...]] = {
    "cloud": ("cloud", " cloud", "Cloud", " Cloud"),
    "local": ("local", " local", "Local", " Local"),
}
# What to try on a machine, best first: (examples, characters of the request). Fewer examples cost more judgement than
# fewer characters do; below four the embedded model does not answer with one of the words at all.
EMBEDDED_SETTINGS = ((16, 160), (16, 100), (8, 100), (8, 60), (4, 60))
LARGE_SETTINGS = ((16, 800), (16, 400), (8, 400), (8, 160), (4, 160), (0, 160), (0, 60))
# The embedded model's log odds to a probability, by setting: p = sigmoid(a * odds + b). Fitted on the forty rows FIT of
# tests/adapters/classifier_rows.py by `python -m tests.adapters.fit_classifier`, which also tells how good it is.
EMBEDDED_CALIBRATION: dict[tuple[int, int], tuple[float, float]] = {
    (16, 160): (1.324, -0.126),
    (16, 100): (0.967, -0.358),
    (8, 100): (1.576, 0.267),
    (8, 60): (1.064, 0.323),
    (4, 60): (0.749, 0.930),
}
# Another model starts without a slope of its own, and so that these, which ask for nothing, get one half.
CONTENT_FREE = ("N/A", "...", "(empty)")
ELLIPSIS = " ... "
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]")
_BLANKS = re.compile(r"\s+")
_MARKUP = re.compile(
    r"<\||\|>|</?(?:think|s|start_of_turn|end_of_turn|eos|bos)>|\[/?INST\]|<<?/?SYS>>?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Template:
    """How a model family marks the turns. `answer` opens the answer; `close` ends it in the examples."""

    opening: str
    before_user: str
    after_user: str
    close: str


CHATML = Template(
    "<|im_start|>system\n{instruction}<|im_end|>\n",
    "<|im_start|>user\n",
    "<|im_end|>\n<|im_start|>assistant\n",
    "<|im_end|>\n",
)
NO_THOUGHT = "<think>\n\n</think>\n\n"
CHATML_NO_THOUGHT = Template(CHATML.opening, CHATML.before_user, CHATML.after_user + NO_THOUGHT, CHATML.close)
GEMMA = Template(
    "<start_of_turn>user\n{instruction}<end_of_turn>\n<start_of_turn>model\nOk.<end_of_turn>\n",
    "<start_of_turn>user\n",
    "<end_of_turn>\n<start_of_turn>model\n",
    "<end_of_turn>\n",
)
LLAMA3 = Template(
    "<|start_header_id|>system<|end_header_id|>\n\n{instruction}<|eot_id|>",
    "<|start_header_id|>user<|end_header_id|>\n\n",
    "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "<|eot_id|>",
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the prompt. Only our own `markup` may be read as control tokens."""

    text: str
    markup: bool


def template_for(chat_template: str) -> Template:
    """The template that a GGUF's own chat template asks for; ChatML when it names none that we know."""
    if "<start_of_turn>" in chat_template:
        return GEMMA
    if "<|start_header_id|>" in chat_template:
        return LLAMA3
    if "<think>" in chat_template or "enable_thinking" in chat_template:
        return CHATML_NO_THOUGHT
    return CHATML


def prefix(template: Template, shots: int) -> list[Piece]:
    """The constant part, up to where the user's text begins."""
    pieces = [Piece(template.opening.format(instruction=INSTRUCTION), markup=True)]
    for text, label in SHOTS[:shots]:
        pieces += [
            Piece(template.before_user, markup=True),
            Piece(text, markup=False),
            Piece(template.after_user, markup=True),
            Piece(label, markup=False),
            Piece(template.close, markup=True),
        ]
    return [*pieces, Piece(template.before_user, markup=True)]


def capped(text: str, limit: int) -> str:
    """At most `limit` characters of `text`, harmless: two thirds from its head, one third from its tail."""
    if len(text) > 8 * limit:  # what lies between cannot matter, and a request may be megabytes long
        text = text[: 4 * limit] + ELLIPSIS + text[-4 * limit :]
    text = neutral(text)
    if len(text) <= limit:
        return text
    room = max(0, limit - len(ELLIPSIS))
    tail = room // 3
    return text[: room - tail] + ELLIPSIS + (text[-tail:] if tail else "")


def neutral(text: str) -> str:
    """`text` on one line, without what a chat template or a reader of terminals would take for control.

    The tokenizer is told not to parse control tokens in it either; this is for the model, which has read about them.
    """
    text = _CONTROL.sub(" ", text.encode("utf-8", "replace").decode("utf-8"))
    text = _MARKUP.sub(lambda found: " ".join(found.group()), text)
    return _BLANKS.sub(" ", text).strip()


def token_limit(characters: int) -> int:
    """How many tokens a request of `characters` may have: what English prose has, so that dense text is not late."""
    return characters // 4


def capped_tokens(tokens: list[int], limit: int) -> list[int]:
    """At most `limit` tokens, by the rule of `capped`."""
    if len(tokens) <= limit:
        return tokens
    tail = limit // 3
    return tokens[: limit - tail] + tokens[len(tokens) - tail :]
