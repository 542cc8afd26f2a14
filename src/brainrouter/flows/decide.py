"""Where a request goes: reads it, asks the brain, and the small model where the brain is unsure; in time, always."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from msgspec import structs

from brainrouter.adapters.classifier import Classifier, Unsure
from brainrouter.brain import cascade
from brainrouter.brain.heads import Heads, Score
from brainrouter.brain.project_rules import Hold
from brainrouter.brain.session import Session, Sessions
from brainrouter.brain.shape import Tool
from brainrouter.brain.tool_list import names_in, telling_tools
from brainrouter.brain.transcript import Step, Transcript, transcript
from brainrouter.brain.turn_kind import turn_kind
from brainrouter.brain.verdict import Verdict
from brainrouter.brain.window import PER_MESSAGE, tokens_of
from brainrouter.policy.model_name import Intent
from brainrouter.policy.plan import Backends
from brainrouter.wire.ask import Ask
from brainrouter.wire.prompt_text import last_user_text

# Keeps about 90 % of the all-cloud success on the training data, which is harder than a day's work; of the turns of
# our own writing it sends 8 of 69 easy ones to the cloud and keeps 4 of 36 hard ones (0.14: 17 and 3).
DEFAULT_KNOB = 0.165
SCORES_KEPT = 512
LLM_WEIGHT = 0.2  # how far the small model's opinion may move the gain of a request near the knob
_PROMPT_FIELDS = ("messages", "input", "system", "instructions", "tools")

_log = logging.getLogger("brainrouter.decide")


@dataclass(frozen=True, slots=True)
class Taste:
    """How this user wants it. `knob`: the gain from which the cloud is worth it. `ability`: log odds by local model."""

    knob: float
    turn_budget: int
    ability: dict[str, float]


class Decider:
    """Decides one ask at a time, within the deadline; trouble anywhere means cloud, in time."""

    def __init__(
        self,
        heads: Heads | None,
        taste: Taste,
        sessions: Sessions,
        backends: Callable[[], Backends],
        window: Callable[[str | None], int | None],
        classifier: Callable[[], Classifier | None],
        deadline_s: float,
    ) -> None:
        self.taste = taste
        self._heads = heads
        self.sessions = sessions
        self._backends = backends
        self._window = window
        self._classifier = classifier
        self._deadline_s = deadline_s
        self._scores: OrderedDict[tuple[str, tuple[Tool, ...]], Score] = OrderedDict()

    async def decide(self, ask: Ask, intent: Intent, held: Hold | None = None) -> Verdict:
        """The verdict for a request that will be forwarded. `held` is what the caller's project makes of it."""
        started = time.perf_counter()
        if intent.mode == "cloud" and held is None:
            known = self.sessions.get(ask.session, time.monotonic()) if ask.session else None
            if known is None or (known.named is None and known.pinned is None):
                return self._asked_for_cloud(intent, known, started)
        try:
            question = self.question(ask)
            key = session_key(ask, question.talk)
            if ask.session is None and question.talk.first:
                self.sessions.forget(key)  # another conversation that begins with the same words
            session = self.sessions.get(key, time.monotonic())
            verdict = self.settle(question, session, intent, held)
        except Exception:  # the request must be answered, whatever its shape made of us
            _log.exception("the decision failed; the request goes to the cloud")
            verdict = _trouble(intent, held)
        else:
            if verdict.unsure:
                verdict = await self._second_opinion(verdict, question.text, started)
        return structs.replace(verdict, ms=(time.perf_counter() - started) * 1000)

    def _asked_for_cloud(self, intent: Intent, session: Session | None, started: float) -> Verdict:
        """Nothing to weigh, so nothing of the conversation is read: this is the fast path."""
        reason = f"asked for cloud by {intent.by}" if intent.by else "asked for cloud"
        ms = (time.perf_counter() - started) * 1000
        return Verdict("cloud", reason, "explicit", knob=self.taste.knob, ms=ms, kind=None, session=session)

    def dry_run(
        self, ask: Ask | None, text: str, tools: tuple[Tool, ...], intent: Intent, held: Hold | None = None
    ) -> Verdict:
        """The verdict without forwarding and without the small model: the same request, the same answer.

        For a bare `text` (no `ask`) as for the first turn of a conversation of its own.
        """
        started = time.perf_counter()
        if ask is None:
            talk = Transcript((Step("user", text),), 1, 0)
            question = cascade.Question("main", talk, text, tools, tokens_of(text.encode("utf-8", "replace")))
            session = Session(0.0)
        else:
            question = self.question(ask)
            session = replace(self.sessions.get(session_key(ask, question.talk), time.monotonic()))
        verdict = self.settle(question, session, intent, held)
        return structs.replace(verdict, ms=(time.perf_counter() - started) * 1000)

    def question(self, ask: Ask) -> cascade.Question:
        """What the brain reads of a request."""
        offered = ask.body.get("tools")
        talk = transcript(ask)
        kind = turn_kind(ask, talk, len(names_in(offered)))
        tokens = sum(tokens_of(ask.body[name]) for name in _PROMPT_FIELDS if name in ask.body)
        text = talk.user_text or last_user_text(ask)
        return cascade.Question(
            kind, talk, text, telling_tools(offered), tokens + PER_MESSAGE * talk.messages
        )

    def settle(
        self, question: cascade.Question, session: Session, intent: Intent, held: Hold | None
    ) -> Verdict:
        """The verdict of the brain alone. Moves `session` on."""
        if held is not None and held.never and held.named:
            session.named = held.why  # what was named is in the conversation from now on
        private = held.why if held is not None and held.never else session.named
        preferred = held.why if held is not None and not held.never else None
        if session.pinned is not None:
            intent = Intent(session.pinned, intent.local_model, by="the dashboard")
        backends = self._backends()
        model = intent.local_model or backends.local_model
        here = cascade.Here(
            cloud=backends.cloud_model is not None,
            local=backends.local_model is not None,
            window=self._window(model),
            knob=self.taste.knob,
            ability=self.taste.ability.get(model or "", 0.0),
            turn_budget=self.taste.turn_budget,
            private=private,
            preferred=preferred,
            asked=intent.mode,
            asked_by=intent.by,
            local_model=intent.local_model,
        )
        return cascade.decide(question, session, here, self._score(question, here.ability))

    def _score(self, question: cascade.Question, ability: float) -> Score | None:
        """Scores are kept: a tool loop asks about the same words dozens of times."""
        key = (question.text, tuple(question.tools))
        found = self._scores.get(key)
        if found is None:
            found = cascade.score(self._heads, question)
            if found is None:
                return None
            self._scores[key] = found
            if len(self._scores) > SCORES_KEPT:
                self._scores.popitem(last=False)
        return cascade.moved(found, ability)

    async def _second_opinion(self, verdict: Verdict, text: str, started: float) -> Verdict:
        """The small model's word where the heads are unsure. Without it the heads' stands."""
        classifier = self._classifier()
        left_s = self._deadline_s - (time.perf_counter() - started)
        if classifier is None or left_s <= 0 or verdict.knob is None:
            return verdict
        try:
            opinion = await classifier.judge(text, left_s)
        except Unsure as unsure:
            return structs.replace(verdict, reason=f"{verdict.reason}; small model {unsure.reason}")
        gain = verdict.gain + LLM_WEIGHT * (opinion.p_cloud - 0.5)
        route = "cloud" if gain >= verdict.price else "local"
        word = "hard" if opinion.p_cloud >= 0.5 else "easy"
        reason = f"{verdict.reason}; small model: {word} ({opinion.p_cloud:.2f})"
        return structs.replace(verdict, route=route, reason=reason, stage="llm")


def session_key(ask: Ask, talk: Transcript) -> str:
    """What tells one conversation from another: the client's own id, else how the conversation began."""
    return ask.session or f"{ask.harness or ''}:{talk.origin:08x}"


def _trouble(intent: Intent, held: Hold | None) -> Verdict:
    private = held is not None and held.never
    if intent.mode == "local" or private:
        return Verdict("local", "the decision failed", "default", model=intent.local_model, private=private)
    return Verdict("cloud", "the decision failed", "default")
