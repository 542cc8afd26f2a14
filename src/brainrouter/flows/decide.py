"""Where a request goes: what was asked for, what is there, what the classifier thinks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from brainrouter.adapters.classifier import Classifier, Unsure
from brainrouter.brain.verdict import Verdict
from brainrouter.policy.model_name import Intent
from brainrouter.policy.plan import Backends
from brainrouter.wire.ask import Ask
from brainrouter.wire.prompt_text import last_user_text

UNSURE_GAIN = 0.0
P_CLOUD_MIN = 0.5


class Decider:
    """Decides one ask at a time, within the deadline; trouble anywhere means cloud, in time."""

    def __init__(
        self, classifier: Callable[[], Classifier | None], backends: Callable[[], Backends], deadline_s: float
    ) -> None:
        self._classifier = classifier
        self._backends = backends
        self._deadline_s = deadline_s

    async def __call__(self, ask: Ask, intent: Intent) -> Verdict:
        """The verdict for a request that will be forwarded: settled by the cheapest stage that can."""
        started = time.perf_counter()
        verdict = self._settled(intent) or await self._judged(last_user_text(ask))
        return replace(verdict, ms=(time.perf_counter() - started) * 1000)

    async def dry_run(self, text: str, intent: Intent) -> Verdict:
        """The verdict without forwarding. `gain` is the classifier's even when an earlier stage settles the route."""
        started = time.perf_counter()
        judged = await self._judged(text)
        settled = self._settled(intent)
        verdict = judged if settled is None else replace(settled, gain=judged.gain)
        return replace(verdict, ms=(time.perf_counter() - started) * 1000)

    def _settled(self, intent: Intent) -> Verdict | None:
        if intent.mode == "local":
            why = f"asked for {intent.local_model}" if intent.local_model else "asked for local"
            return Verdict("local", why, "explicit", model=intent.local_model)
        if intent.mode == "cloud":
            return Verdict("cloud", "asked for cloud", "explicit")
        backends = self._backends()
        if backends.cloud_model is None:
            return Verdict("local", "no cloud", "availability")
        if backends.local_model is None:
            return Verdict("cloud", "no local model", "availability")
        return None

    async def _judged(self, text: str) -> Verdict:
        classifier = self._classifier()
        if classifier is None:
            return Verdict("cloud", "no classifier", "default", UNSURE_GAIN)
        if not text.strip():
            return Verdict("cloud", "no user text to judge", "default", UNSURE_GAIN)
        try:
            opinion = await classifier.judge(text, self._deadline_s)
        except Unsure as unsure:
            return Verdict("cloud", f"classifier {unsure.reason}", "default", UNSURE_GAIN)
        hard = opinion.p_cloud >= P_CLOUD_MIN
        reason = f"classifier: {'hard' if hard else 'easy'} (p_cloud {opinion.p_cloud:.2f})"
        return Verdict("cloud" if hard else "local", reason, "llm", opinion.p_cloud - P_CLOUD_MIN)
