"""The charts' numbers: hours of the store in a few dozen buckets, and what stayed local."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from brainrouter.adapters.event_history import SideTotals, Tally, tally
from brainrouter.config import PriceSettings

BUCKETS = {1: 60, 6: 300, 24: 1800, 168: 10_800, 720: 43_200}  # hours to seconds a bucket
FRESH_S = 2.0
_NOTHING = SideTotals(0, 0, 0, 0, 0, None, None, None)


class History:
    """Asks the store at most once in two seconds for each range, however many pages look."""

    def __init__(self, store: Path, prices: PriceSettings) -> None:
        self._store = store
        self.prices = prices
        self._held: dict[int, tuple[float, dict[str, Any]]] = {}
        self._asking: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def over(self, hours: int) -> dict[str, Any]:
        """The body of /api/history for one of the ranges of BUCKETS. Raises OSError when the store cannot be read."""
        held = self._held.get(hours)
        if held is not None and time.monotonic() - held[0] < FRESH_S:
            return held[1]
        if hours not in self._asking:
            loop = asyncio.get_running_loop()
            asking = loop.run_in_executor(None, self._look, hours, time.time())
            self._asking[hours] = asking
            asking.add_done_callback(lambda _: self._asking.pop(hours, None))
        found = await asyncio.shield(self._asking[hours])
        self._held[hours] = (time.monotonic(), found)
        return found

    def _look(self, hours: int, now: float) -> dict[str, Any]:
        bucket = BUCKETS[hours]
        first = (int(now - hours * 3600) // bucket + 1) * bucket
        return summary(tally(self._store, first, bucket), first, bucket, now, self.prices)


def summary(found: Tally, first: int, bucket: int, now: float, prices: PriceSettings) -> dict[str, Any]:
    """The body of /api/history: columns of equal length, oldest first."""
    keys = range(int(now - first) // bucket + 1)

    def column(side: str, place: int) -> list[int]:
        return [found.buckets.get((key, side), (0, 0))[place] for key in keys]

    return {
        "bucket_s": bucket,
        "requests": found.requests,
        "fallbacks": found.fallbacks,
        "time": [first + key * bucket for key in keys],
        "cloud": column("cloud", 0),
        "local": column("local", 0),
        "cloud_tokens": column("cloud", 1),
        "local_tokens": column("local", 1),
        "cloud_p50_ms": [found.medians.get((key, "cloud")) for key in keys],
        "local_p50_ms": [found.medians.get((key, "local")) for key in keys],
        "sides": {side: _side(found.sides.get(side, _NOTHING)) for side in ("cloud", "local")},
        "reasons": [
            {"decision": decision, "reason": reason, "count": count}
            for decision, reason, count in found.reasons
        ],
        "kept": _kept(found.sides.get("local", _NOTHING), prices),
    }


def _side(totals: SideTotals) -> dict[str, Any]:
    return {
        "requests": totals.requests,
        "errors": totals.errors,
        "p50_ms": totals.p50_ms,
        "p95_ms": totals.p95_ms,
        "first_byte_p50_ms": totals.first_byte_p50_ms,
    }


def _kept(local: SideTotals, prices: PriceSettings) -> dict[str, Any]:
    """What did not go to the cloud. Money only at prices that somebody has set: a guess would be worse than nothing."""
    money = None
    if prices.cloud_input_per_mtok is not None and prices.cloud_output_per_mtok is not None:
        money = (
            local.prompt_tokens * prices.cloud_input_per_mtok
            + local.completion_tokens * prices.cloud_output_per_mtok
        ) / 1e6
    return {
        "prompt_tokens": local.prompt_tokens,
        "completion_tokens": local.completion_tokens,
        "unknown": local.uncounted,
        "money": money,
        "currency": prices.currency,
    }
