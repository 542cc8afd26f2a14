"""What a harness' list of tools becomes for a local model: worked out once for a session, not at every turn. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from brainrouter.policy.lean.deferral import Deferral, deferral
from brainrouter.policy.lean.memo import Memo
from brainrouter.policy.lean.tools import Tool, in_order, readable, slim
from brainrouter.wire.token_estimate import text_tokens


@dataclass(frozen=True, slots=True)
class Offer:
    """`tools` to offer, and their JSON; `deferral` knows those that wait. `before` and `after` are tokens by estimate.

    Tools that cannot be read are None: they are sent as they came.
    """

    tools: list[Tool] | None = None
    encoded: bytes = b""
    deferral: Deferral | None = None
    before: float = 0.0
    after: float = 0.0


NOTHING = Offer()
_MEMO: Memo[Offer] = Memo(entries=16, largest=256 * 1024)


def offer(tools: bytes | None, slimming: int, keep: tuple[str, ...] = ()) -> Offer:
    """The offer that `tools`, the JSON of chat functions, become."""
    if not tools:
        return NOTHING
    return _MEMO.get((tools, slimming, keep), len(tools), lambda: _offer(tools, slimming, keep))


def _offer(raw: bytes, slimming: int, keep: tuple[str, ...]) -> Offer:
    before = text_tokens(raw)
    tools = readable(msgspec.json.decode(raw))
    if not tools:
        return Offer(before=before, after=before)
    waiting = deferral(tools, keep) if slimming > 1 else None
    offered = waiting.offered if waiting else slim(tools) if slimming else in_order(tools)
    encoded = msgspec.json.encode(offered)
    return Offer(offered, encoded, waiting, before, text_tokens(encoded))
