"""One turn for a local model: the harness' prose replaced, what is the user's kept, the prefix held still. Pure."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from brainrouter.policy.adapt import text_of
from brainrouter.policy.lean.critical import lost
from brainrouter.policy.lean.envelopes import Message, changed, harness_texts, is_system
from brainrouter.policy.lean.known import KNOWN
from brainrouter.policy.lean.memo import Memo
from brainrouter.policy.lean.offer import NOTHING, Offer
from brainrouter.policy.lean.prompt import lean_prompt
from brainrouter.policy.lean.prune import prune
from brainrouter.policy.lean.stable import steady
from brainrouter.policy.lean.zones import zones
from brainrouter.wire.token_estimate import text_tokens

HEAVY_CHARS = 3_000  # of known prose, from which our own text in its place is a gain
LIGHT_CHARS = 1_500  # and from which our brief one is, where every token counts: tools wait
LONGEST_CHARS = (
    1_000_000  # of an opening that is looked into: harnesses send a tenth, and the search holds the loop up
)
HEAVY_UNKNOWN_CHARS = (
    6_000  # of a system prompt nobody knows, from which `model=local` is worth what it drops
)


class Saving(msgspec.Struct, frozen=True):
    """What a turn weighs before and after, in tokens by estimate. `note` says why a prompt was left whole."""

    before: int
    after: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class LeanTurn:
    """The conversation to send, the tools to offer, and what that saves."""

    messages: list[Message]
    offer: Offer
    saving: Saving


@dataclass(frozen=True, slots=True)
class _Opening:
    """What a conversation's opening became. `replaced`: the harness' prose went, as it does from what follows."""

    messages: list[Message]
    replaced: bool
    note: str
    before: float
    after: float


_MEMO: Memo[_Opening] = Memo(entries=32, largest=128 * 1024)


def lean_turn(
    messages: list[Message],
    offered: Offer = NOTHING,
    override: str | None = None,
    *,
    unknown_too: bool = False,
    known: frozenset[bytes] = KNOWN,
) -> LeanTurn:
    """A turn as a local model should get it. `known` are the fingerprints of the lines that harnesses write.

    Where the opening of the conversation holds much of a harness' own prose, that goes and the lean prompt (or the
    user's `override`) comes; otherwise only what changes from request to request goes. What is done is settled by the
    opening alone, and every later message is worked on by itself: so what was sent at one turn is the beginning of
    what is sent at the next. Calls of tools that wait are said the way this model made them.

    With `unknown_too` a heavy system prompt of a program that is not known goes as well, but for its marked parts
    (instructions, environment): that is what asking for `local` means.
    """
    first = next(
        (i for i, message in enumerate(messages) if message.get("role") == "assistant"), len(messages)
    )
    raw = msgspec.json.encode(messages[:first])
    opening = _MEMO.get(
        (raw, offered.encoded, override, unknown_too, known),
        len(raw),
        lambda: _opening(messages[:first], _Prompts(offered, override), known, unknown_too=unknown_too),
    )
    later = [new for message in messages[first:] if (new := changed(message, steady)) is not None]
    if opening.replaced:
        later = _pruned(later, known)
    before = text_tokens(msgspec.json.encode(messages[first:]))
    after = before if _same(later, messages[first:]) else text_tokens(msgspec.json.encode(later))
    made, notes = [*opening.messages, *later], [opening.note]
    if offered.deferral:
        made = offered.deferral.wrapped(made)
        notes.append(f"{len(offered.deferral.hidden)} tools wait to be asked for")
    saving = Saving(
        round(opening.before + before + offered.before),
        round(opening.after + after + offered.after),
        "; ".join(filter(None, notes)),
    )
    return LeanTurn(made, offered, saving)


@dataclass(frozen=True, slots=True)
class _Prompts:
    """What may come in place of a harness' prose."""

    offered: Offer
    override: str | None

    def instead_of(self, chars: int) -> str:
        """Our prompt, or the user's, for so many characters of the harness' own; empty where that would be no gain."""
        waiting = self.offered.deferral
        brief = chars < HEAVY_CHARS
        if brief and (waiting is None or chars < LIGHT_CHARS):
            return ""
        rule = waiting.rule if waiting else ""
        return lean_prompt(self.offered.tools or [], self.override, rule, brief=brief)


def _opening(
    messages: list[Message], prompts: _Prompts, known: frozenset[bytes], *, unknown_too: bool
) -> _Opening:
    if sum(len(text_of(message.get("content"))) for message in messages) > LONGEST_CHARS:
        weight = text_tokens(msgspec.json.encode(messages))
        return _Opening(messages, False, "prompt left whole: no harness writes one so long", weight, weight)
    held = [new for message in messages if (new := changed(message, steady)) is not None]
    leaner, note = _replaced(held, prompts, known)
    replaced = leaner is not held
    if not replaced and unknown_too and not note:
        leaner, note = _replaced_unknown(held, prompts.instead_of(HEAVY_CHARS))
    before, after = (text_tokens(msgspec.json.encode(one)) for one in (messages, leaner))
    return _Opening(leaner, replaced, note, before, after)


def _same(some: list[Message], others: list[Message]) -> bool:
    return len(some) == len(others) and all(map(operator.is_, some, others))


def _replaced(
    messages: list[Message], prompts: _Prompts, known: frozenset[bytes]
) -> tuple[list[Message], str]:
    """An opening with a prompt of ours in place of the harness' own; as it is, and why, where that is not safe."""
    texts = [text for message in messages for text in harness_texts(message)]
    own = prompts.instead_of(sum(prune(text, known).own for text in texts))
    if not own:
        return messages, ""
    head = next((i for i, message in enumerate(messages) if not is_system(message)), len(messages))
    kept = [prune(text_of(message.get("content")), known).text for message in messages[:head]]
    system: Message = {
        "role": "system",
        "content": "\n\n".join([own, *filter(str.strip, kept)]),
    }
    opening = [system, *_pruned(messages[head:], known)]
    gone = lost(texts, "\n".join(text_of(message.get("content")) for message in opening))
    return (messages, f"prompt left whole: {gone}") if gone else (opening, "")


def _replaced_unknown(messages: list[Message], own: str) -> tuple[list[Message], str]:
    head = next((i for i, message in enumerate(messages) if not is_system(message)), len(messages))
    texts = [text_of(message.get("content")) for message in messages[:head]]
    if sum(map(len, texts)) < HEAVY_UNKNOWN_CHARS:
        return messages, ""
    kept = [text[start:end] for text in texts for start, end in zones(text)]
    content = "\n\n".join([own, *kept])
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
