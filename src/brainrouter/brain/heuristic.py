"""The kind of router that most tools have, as a baseline to be beaten: keywords, size, tools and depth. Pure.

Our own few lines in the manner of the published ones: keywords add up over all user turns, so does size. It is never
used to decide.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_HARD = re.compile(
    r"\b(?:prove|derive|theorem|algorithm|design|architect\w*|refactor|debug|deadlock|race|concurren\w*|distributed|"
    r"optimi[sz]e|security|migrate|implement|function|class|test|api|json|python|database)\b",
    re.IGNORECASE,
)
_EASY = re.compile(r"\b(?:what is|thanks|yes|no|ok|hi|please|typo|help)\b", re.IGNORECASE)


def heuristic(user_turns: Sequence[str], tools: int) -> float:
    """How hard a request is thought to be, from 0 to 1: the last turn counts most, earlier ones still count."""
    total = 0.0
    for back, text in enumerate(reversed(user_turns[-5:])):
        weight = (1.0, 0.5, 0.25, 0.25, 0.25)[back]
        total += weight * (0.08 * len(_HARD.findall(text)) - 0.08 * len(_EASY.findall(text)))
        total += weight * min(0.3, len(text) / 4000)
    return max(0.0, min(1.0, 0.3 + total + min(0.2, tools * 0.01)))
