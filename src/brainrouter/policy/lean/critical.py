"""Is everything still there that may not be lost? The check after pruning, by itself and not by its rules. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from brainrouter.policy.lean.zones import unclosed, zones

_SPACE = re.compile(r"\s+")


def lost(originals: Iterable[str], result: str) -> str:
    """What of the user's and the project's parts is missing from `result`, in a few words; empty when nothing is.

    A part that opens and never ends counts as lost: nobody can say where it ends.
    """
    told = _SPACE.sub(" ", result)
    for original in originals:
        tag = unclosed(original)
        if tag:
            return f"<{tag}> has no end"
        for start, end in zones(original):
            part = _SPACE.sub(" ", original[start:end]).strip()
            if part not in told:
                return "a part that must stay would be lost"
    return ""
