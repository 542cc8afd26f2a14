"""What a message in a chat asks for. One grammar for both platforms; it never fails and looks at nothing else."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal

Platform = Literal["discord", "signal"]

MODES = ("auto", "local", "cloud")
ALONE = frozenset({"ping", "reset", "status", "list", "ls", "help"})
WITH_NAME = frozenset({"cd", "mkdir", "model", "review"})
MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+@-]{0,127}")


@dataclass(frozen=True, slots=True)
class Command:
    """One of our verbs. `argument` is what followed it, as it was typed."""

    verb: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Text for omp. `model` is set when it was given for this one prompt."""

    text: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Guess:
    """A single word that is nearly a verb; `near` is the verb."""

    word: str
    near: str


Parsed = Command | Prompt | Guess | None


def parse(text: str, prefix: str, platform: Platform) -> Parsed:
    """What `text` asks for; None for nothing at all. Verbs win over models of the same name."""
    said = text.strip()
    word = f"{prefix}br"
    head, rest = said[: len(word)], said[len(word) :]
    if head.lower() != word.lower() or (rest and not rest[0].isspace()):
        return Prompt(said) if said else None
    rest = rest.strip()
    if not rest:
        return Command("help")
    first, _, tail = _split(rest)
    verb = first.lower()
    if tail:
        return _with_tail(verb, tail, rest, platform)
    return _alone(first, verb)


def _alone(first: str, verb: str) -> Parsed:
    if verb in ALONE:
        return Command(verb)
    if verb == "?":
        return Command("help")
    if verb in MODES:
        return Command("choose", verb)
    if verb == "..":
        return Command("cd", "..")
    if verb in WITH_NAME:
        return Command(verb)
    if looks_like_model(first):
        return Command("choose", first)
    verbs = sorted(ALONE | WITH_NAME | set(MODES))
    near = difflib.get_close_matches(verb, verbs, n=1, cutoff=0.75) if len(verb) <= 2 * len("status") else []
    if near:
        return Guess(first, near[0])
    return Command("word", first)


def _with_tail(verb: str, tail: str, whole: str, platform: Platform) -> Parsed:
    if verb in ("cd", "mkdir"):
        return Command(verb, tail)
    if verb == "model":
        name, _, query = _split(tail)
        if query:
            return Prompt(query, name)
        return Command("choose" if platform == "signal" else "model", name)
    if verb == "review" and tail.lower() in MODES:
        return Command("review", tail.lower())
    return Prompt(whole)


def looks_like_model(word: str) -> bool:
    """A name with a hyphen or a dot, as models have and verbs have not."""
    return ("-" in word or "." in word) and bool(MODEL.fullmatch(word))


def _split(text: str) -> tuple[str, str, str]:
    parts = text.split(None, 1)
    return parts[0], " ", parts[1] if len(parts) > 1 else ""


def help_text(prefix: str, platform: Platform) -> str:
    """Every command, in one part."""
    word = f"{prefix}br"
    once = (
        ("model NAME QUESTION", "ask that model once")
        if platform == "discord"
        else ("model NAME", "keep that model")
    )
    rows = [
        ("ping", "am I there"),
        ("status", "model, folder, session, what runs"),
        ("reset", "stop what runs and forget the conversation"),
        ("auto | local | cloud", "where requests go"),
        ("MODEL-NAME", "keep a model of llama-swap, or an alias"),
        ("list", "all models"),
        once,
        ("ls | cd FOLDER | .. | mkdir NAME", "the working folder"),
        ("review [auto|local|cloud]", "show or set how code is reviewed"),
        ("help", "this"),
    ]
    lines = [f"{word} {left}\n    {right}" for left, right in rows]
    return "```\n" + "\n".join(lines) + f"\n```\nAnything else, with or without {word}, is a question."
