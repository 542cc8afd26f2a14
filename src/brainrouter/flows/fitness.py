"""A local model's answer, judged before its first byte leaves: an unfit one is the cloud's to give again."""

from __future__ import annotations

from brainrouter.adapters.upstream import Whole
from brainrouter.brain.answer import Seen, seen_in_stream, seen_in_whole, trouble, undecided
from brainrouter.brain.tool_list import names_in
from brainrouter.policy import failure as kinds
from brainrouter.policy.failure import Failure
from brainrouter.policy.outgoing import Outgoing
from brainrouter.wire.json_body import parse_object


class Fitness:
    """Knows what was offered. Called with what is held of a stream: raises Failure, or says whether to hold on."""

    def __init__(self, out: Outgoing) -> None:
        offered = frozenset(names_in(parse_object(out.document).get("tools")))
        self._offered = offered | out.deferral.hidden if out.deferral else offered

    def __call__(self, held: bytes) -> bool:
        seen = seen_in_stream(held)
        self._judge(seen)
        return undecided(seen, self._offered)

    def whole(self, answer: Whole) -> None:
        """The same for an answer in one piece."""
        self._judge(seen_in_whole(answer.document))

    def _judge(self, seen: Seen) -> None:
        found = trouble(seen, self._offered)
        if found is not None:
            raise Failure(kinds.UNFIT_ANSWER, f"the local model {found}")
