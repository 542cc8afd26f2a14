"""One turn for a local model: the harness' prose replaced, what is the user's kept, the prefix held still. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec

from brainrouter.policy.adapt import text_of
from brainrouter.policy.lean.critical import lost
from brainrouter.policy.lean.deferral import Deferral, deferral
from brainrouter.policy.lean.envelopes import Message, changed, harness_texts, is_system
from brainrouter.policy.lean.known import KNOWN
from brainrouter.policy.lean.prompt import lean_prompt
from brainrouter.policy.lean.prune import prune
from brainrouter.policy.lean.stable import steady
from brainrouter.policy.lean.tools import Tool, in_order, slim
from brainrouter.policy.lean.zones import zones
from brainrouter.wire.token_estimate import text_tokens

HEAVY_CHARS = 3_000  # of known prose, from which our own text in its place is a gain
HEAVY_UNKNOWN_CHARS = (
    6_000  # of a system prompt nobody knows, from which `model=local` is worth what it drops
)


@dataclass(frozen=True, slots=True)
class Saving:
    """What a turn weighs before and after, in tokens by estimate. `note` says why a prompt was left whole."""

    before: int
    after: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class LeanTurn:
    """The conversation and the tools to send, and what that saves. `deferral` knows the tools that wait, if any do."""

    messages: list[Message]
    tools: list[Tool] | None
    saving: Saving
    deferral: Deferral | None = None


def lean_turn(
    messages: list[Message],
    tools: list[Tool] | None,
    override: str | None = None,
    *,
    slimming: int = 1,
    unknown_too: bool = False,
    keep: Collection[str] = (),
    known: frozenset[bytes] = KNOWN,
) -> LeanTurn:
    """A turn as a local model should get it. `tools` are chat functions with decoded schemas, `known` the fingerprints
    of the lines that harnesses write.

    Where the opening of the conversation holds much of a harness' own prose, that goes and the lean prompt (or the
    user's `override`) comes; otherwise only what changes from request to request goes. What is done is settled by the
    opening alone, and every later message is worked on by itself: so what was sent at one turn is the beginning of
    what is sent at the next.

    At `slimming` 2 rarely used tools wait behind one of ours, but for those that `keep` names.

    With `unknown_too` a heavy system prompt of a program that is not known goes as well, but for its marked parts
    (instructions, environment): that is what asking for `local` means.
    """
    held = [new for message in messages if (new := changed(message, steady)) is not None]
    waiting = deferral(tools, keep) if tools and slimming > 1 else None
    offered = (
        waiting.offered
        if waiting
        else None
        if tools is None
        else slim(tools)
        if slimming
        else in_order(tools)
    )
    leaner, note = _replaced(held, offered or [], override, known)
    if leaner is held and unknown_too and not note:
        leaner, note = _replaced_unknown(held, offered or [], override)
    if waiting:
        leaner = waiting.wrapped(leaner)
        note = "; ".join(filter(None, (note, f"{len(waiting.hidden)} tools wait to be asked for")))
    before, after = _tokens(messages, tools), _tokens(leaner, offered)
    return LeanTurn(leaner, offered, Saving(before, after, note), waiting)


def _replaced(
    messages: list[Message], tools: list[Tool], override: str | None, known: frozenset[bytes]
) -> tuple[list[Message], str]:
    """The messages with the lean prompt in place of the harness' own; as they are, and why, where that is not safe."""
    first = next(
        (i for i, message in enumerate(messages) if message.get("role") == "assistant"), len(messages)
    )
    texts = [text for message in messages[:first] for text in harness_texts(message)]
    if sum(prune(text, known).own for text in texts) < HEAVY_CHARS:
        return messages, ""
    head = next((i for i, message in enumerate(messages) if not is_system(message)), len(messages))
    kept = [prune(text_of(message.get("content")), known).text for message in messages[:head]]
    system: Message = {
        "role": "system",
        "content": "\n\n".join([lean_prompt(tools, override), *filter(str.strip, kept)]),
    }
    opening = [system, *_pruned(messages[head:first], known)]
    gone = lost(texts, "\n".join(text_of(message.get("content")) for message in opening))
    if gone:
        return messages, f"prompt left whole: {gone}"
    return [*opening, *_pruned(messages[first:], known)], ""


def _replaced_unknown(
    messages: list[Message], tools: list[Tool], override: str | None
) -> tuple[list[Message], str]:
    head = next((i for i, message in enumerate(messages) if not is_system(message)), len(messages))
    texts = [text_of(message.get("content")) for message in messages[:head]]
    if sum(map(len, texts)) < HEAVY_UNKNOWN_CHARS:
        return messages, ""
    kept = [text[start:end] for text in texts for start, end in zones(text)]
    content = "\n\n".join([lean_prompt(tools, override), *kept])
    gone = lost(texts, content)
    if gone:
        return messages, f"prompt left whole: {gone}"
    return [
        {"role": "system", "content": content},
        *messages[head:],
    ], "the prompt of an unknown program was replaced"


def _pruned(messages: Sequence[Message], known: frozenset[bytes]) -> list[Message]:
    def left_of(text: str) -> str:
        """What is left of a harness' text; all of it where the check says that too little is."""
        pruned = prune(text, known)
        return text if not pruned.own or lost([text], pruned.text) else pruned.text

    return [new for message in messages if (new := changed(message, left_of)) is not None]


def _tokens(messages: list[Message], tools: list[Tool] | None) -> int:
    found = text_tokens(msgspec.json.encode(messages))
    return round(found + (text_tokens(msgspec.json.encode(tools)) if tools else 0))
