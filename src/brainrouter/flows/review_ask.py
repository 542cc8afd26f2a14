"""Asking the reviewing model, by the same road that every request takes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from brainrouter.flows.record import Recorder
from brainrouter.flows.relay import Relay, WholeAnswer
from brainrouter.flows.review_material import suspicious
from brainrouter.flows.review_settings import ReviewConfig
from brainrouter.policy import failure as kinds
from brainrouter.policy.failure import Failure
from brainrouter.policy.review_evidence import Evidence
from brainrouter.policy.review_prompt import (
    ANSWER_TOKENS,
    PROMPT_MIN_CHARS,
    REPAIR,
    SYSTEM,
    Material,
    Prompt,
    assemble,
    budget_chars,
)
from brainrouter.policy.review_reply import ReadReply, Unreadable, read_reply
from brainrouter.policy.review_session import Outcome, Round, Session
from brainrouter.policy.review_verdict import needs_quotes, outcome_of
from brainrouter.wire.chat import parse_chat

REPLY_KEPT_CHARS = 20_000
REPEATED_CHARS = 4_000  # of an unreadable answer, when a clearer one is asked for
LARGE_WINDOW_TOKENS = 16_000
HARNESS = "brainrouter review"

Say = Callable[[str, str], None]
Messages = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one model said, once."""

    text: str
    cut: bool


class _Part(msgspec.Struct):
    text: str = ""


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None

    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class _Choice(msgspec.Struct):
    message: _Message


class Reviewer:
    """Turns the material of a round into its outcome. `window` gives the tokens that a mode's model can read."""

    def __init__(
        self, relay: Relay, recorder: Recorder, window: Callable[[ReviewConfig], int | None], timeout_s: float
    ) -> None:
        self._relay = relay
        self._recorder = recorder
        self._window = window
        self._timeout_s = timeout_s

    async def review(
        self, session: Session, round_: Round, material: Material, config: ReviewConfig, say: Say
    ) -> Outcome:
        """Ask, read strictly, ask once more when that fails. A model in trouble ends in `escalated`; never raises."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._review(session, round_, material, config, say)
        except Failure as failure:
            return Outcome("escalated", reason=f"the reviewer could not be asked: {failure.message}")
        except TimeoutError:
            return Outcome("escalated", reason=f"the reviewer gave no answer within {self._timeout_s:g} s")

    async def _review(
        self, session: Session, round_: Round, material: Material, config: ReviewConfig, say: Say
    ) -> Outcome:
        found = await asyncio.to_thread(suspicious, material)
        round_.notes += [f"suspicious: {marker}" for marker in found]
        messages, prompt, first = await self._first(session, round_, material, config, say)
        documents = [(document.name, document.text) for document in material.documents]
        documents += [("summary", material.summary), ("details", material.details)]
        evidence = Evidence(prompt.files, documents)
        try:
            outcome = outcome_of(_readable(first), evidence, found)
            if not needs_quotes(outcome):
                return outcome
            why = "no QUOTE in it is a line of the material"
        except Unreadable as wrong:
            outcome, why = None, str(wrong)
        say("repairing", "asking the reviewer for a clearer answer")
        round_.repaired = True
        messages = [
            *messages,
            {"role": "assistant", "content": first.text[:REPEATED_CHARS] or "(nothing)"},
            {"role": "user", "content": REPAIR.format(why=why)},
        ]
        again = await self._ask(session, round_, messages, config)
        try:
            return outcome_of(_readable(again), evidence, found)
        except Unreadable as wrong:
            if outcome is not None:
                return outcome
            return Outcome(
                "escalated",
                again.text[:REPLY_KEPT_CHARS],
                reason=f"the reviewer's answer is no verdict: {wrong}",
            )

    async def _first(
        self, session: Session, round_: Round, material: Material, config: ReviewConfig, say: Say
    ) -> tuple[Messages, Prompt, Answer]:
        """The first answer and what led to it; a prompt that turns out to be too long is halved until it fits."""
        budget = budget_chars(self._window(config))
        while True:
            prompt = await asyncio.to_thread(assemble, material, secrets.token_hex(8), budget)
            messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt.text}]
            say("asking", f"asking the reviewer ({config.forced_mode}), {len(prompt.text)} characters")
            try:
                answer = await self._ask(session, round_, messages, config)
            except Failure as failure:
                if failure.kind is not kinds.CONTEXT_TOO_LONG or budget <= PROMPT_MIN_CHARS:
                    raise
                budget = max(PROMPT_MIN_CHARS, budget // 2)
                continue
            round_.notes += prompt.notes
            return messages, prompt, answer

    async def _ask(self, session: Session, round_: Round, messages: Messages, config: ReviewConfig) -> Answer:
        body: dict[str, Any] = {"model": model_for(config), "messages": messages, "stream": False}
        window = self._window(config)
        if window is not None:  # a local model; in the cloud some refuse both fields
            body |= {
                "temperature": 0,
                "max_tokens": ANSWER_TOKENS if window < LARGE_WINDOW_TOKENS else 4 * ANSWER_TOKENS,
            }
        ask = parse_chat(msgspec.json.encode(body), {})
        ask.session, ask.harness = session.id, HARNESS
        running = self._recorder.arrived(ask, f"review {session.task_id}: {session.summary}")
        running.cwd, running.iteration = session.cwd, round_.iteration
        answer = await self._relay.answer(ask, running)
        assert isinstance(answer, WholeAnswer)  # the ask was not for a stream
        round_.model, round_.side = running.model, running.side
        facts = answer.whole.facts
        round_.prompt_tokens, round_.completion_tokens = facts.prompt_tokens, facts.completion_tokens
        said = Answer(_content(answer.whole.document), facts.finish == "length")
        round_.reply = said.text[:REPLY_KEPT_CHARS]
        return said


def model_for(config: ReviewConfig) -> str:
    """The model name that is asked for: the mode, or the local model that was chosen."""
    if config.forced_mode == "local" and config.forced_model:
        return config.forced_model
    return config.forced_mode


def _readable(answer: Answer) -> ReadReply:
    if answer.cut:
        raise Unreadable("it was cut off in the middle")
    return read_reply(answer.text)


def _content(head: dict[str, Any]) -> str:
    """The text of a whole chat answer; empty when it holds none."""
    try:
        return msgspec.convert(head["choices"], list[_Choice])[0].message.text()
    except (KeyError, IndexError, msgspec.ValidationError):
        return ""
