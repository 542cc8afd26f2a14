"""Prompt, calibration and settings put together: a `Judge` answers texts with a probability that the cloud is worth it.

`best_judge` measures this machine and takes the best settings that make the deadline here.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from brainrouter.adapters.classifier_engine import Engine, Reading, tokens_of
from brainrouter.brain import classify_prompt as prompt
from brainrouter.quantile import quantile

WARM_UPS, GLANCE, PASSES = 1, 3, 8
MARGIN = 0.9  # of the deadline: the rest is for the pipe and the event loop
PROBE = (
    "Please look at the way in which the parser walks over the tokens, tell me whether that is fine as it stands, and "
    "then write a short summary of what you found for the others. "
)


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of passes at the cap."""

    p50_ms: float
    p95_ms: float


class Judge:
    """An engine with a prefix held, for requests of at most `cap` characters."""

    def __init__(self, engine: Engine, shots: int, cap: int, *, embedded: bool) -> None:
        self._engine, self.shots, self.cap = engine, shots, cap
        template = prompt.template_for(engine.chat_template)
        engine.hold(engine.bos() + tokens_of(engine, prompt.prefix(template, shots)))
        self._suffix = engine.tokens(template.after_user, markup=True)
        self._embedded = embedded
        self._slope, self._offset = 1.0, 0.0

    def calibrate(self) -> float | None:
        """Set the curve from odds to probability; returns the label mass on texts that look like requests."""
        if self._embedded:
            self._slope, self._offset = prompt.EMBEDDED_CALIBRATION[self.shots, self.cap]
        else:
            odds = [self.read(text).odds for text in prompt.CONTENT_FREE]
            self._offset = -sum(odds) / len(odds)
        masses = [self.read(text).mass for text, _ in prompt.SHOTS[:4]]
        known = [mass for mass in masses if mass is not None]
        return sum(known) / len(known) if known else None

    def read(self, text: str, deadline: float = math.inf) -> Reading:
        """One pass. Raises TooLate."""
        tokens = self._engine.tokens(prompt.capped(text, self.cap), markup=False)
        return self._engine.read(
            prompt.capped_tokens(tokens, prompt.token_limit(self.cap)) + self._suffix, deadline
        )

    def p_cloud(self, text: str, deadline: float = math.inf) -> float:
        """The calibrated probability, inside (0, 1). Raises TooLate."""
        z = self._slope * self.read(text, deadline).odds + self._offset
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, z))))

    def timing(self, enough_ms: float) -> Timing:
        """Passes at the cap; given up after a few when all of those took longer than `enough_ms`."""
        text = PROBE * (1 + self.cap // len(PROBE))
        for _ in range(WARM_UPS):
            self.read(text)
        took: list[float] = []
        while len(took) < PASSES and not (len(took) == GLANCE and min(took) > enough_ms):
            started = time.perf_counter()
            self.read(text)
            took.append((time.perf_counter() - started) * 1000)
        took.sort()
        return Timing(quantile(took, 0.5), quantile(took, 0.95))

    def with_cap(self, cap: int) -> Judge:
        """The same prefix, not computed again, for shorter requests."""
        other = object.__new__(Judge)
        other.__dict__.update(self.__dict__)
        other.cap = cap
        return other


def best_judge(engine: Engine, deadline_s: float, *, embedded: bool) -> tuple[Judge | None, Timing]:
    """The first settings whose p95 makes the deadline here; None with the last timing where none does."""
    limit_ms = deadline_s * 1000 * MARGIN
    judge: Judge | None = None
    timing = Timing(math.inf, math.inf)
    for shots, cap in prompt.EMBEDDED_SETTINGS if embedded else prompt.LARGE_SETTINGS:
        if judge is not None and judge.shots == shots:
            judge = judge.with_cap(cap)
        else:
            judge = Judge(engine, shots, cap, embedded=embedded)
        timing = judge.timing(limit_ms)
        if timing.p95_ms <= limit_ms:
            return judge, timing
    return None, timing
