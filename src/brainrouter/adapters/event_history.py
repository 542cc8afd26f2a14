"""Reads the store of events for the charts. SQLite does the counting, so that Python's loop goes on meanwhile."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brainrouter.adapters.kept_events import EVENTS, opened

ROWS_MAX = 50_000

# A side is where it was answered; a request that never came so far counts for where it was meant to go. A client that
# left (499) says nothing of the side.
_GATHER = f"""
create temp table e as
select cast((time - :since) / :bucket as integer) as k, coalesce(side, decision) as side, decision,
  substr(reason, 1, instr(reason || ' (', ' (') - 1) as reason, fallback,
  error is not null and coalesce(status, 0) != 499 as failed,
  case when error is null then total_ms end as ms,
  case when error is null then first_byte_ms end as first_ms,
  prompt, completion
from (
  select time, json_extract(b, '$.side') as side, json_extract(b, '$.decision') as decision,
    coalesce(json_extract(b, '$.reason'), '') as reason, json_extract(b, '$.fallback') as fallback,
    json_extract(b, '$.error') as error, json_extract(b, '$.status') as status,
    json_extract(b, '$.total_ms') as total_ms, json_extract(b, '$.first_byte_ms') as first_byte_ms,
    json_extract(b, '$.prompt_tokens') as prompt, json_extract(b, '$.completion_tokens') as completion
  from ({EVENTS}) order by time desc limit :rows
)
"""  # noqa: S608
_BUCKETS = """
select k, side, count(*), sum(coalesce(prompt, 0) + coalesce(completion, 0)) from e where side is not null
group by k, side
"""
_SIDES = """
select side, count(*), sum(failed), sum(coalesce(prompt, 0)), sum(coalesce(completion, 0)),
  sum(prompt is null and completion is null and not failed)
from e where side is not null group by side
"""
_REASONS = "select decision, reason, count(*) as n from e group by decision, reason order by n desc limit 20"
_TOTALS = "select count(*), sum(fallback is not null) from e"


@dataclass(frozen=True, slots=True)
class SideTotals:
    """One side over the whole time. Quantiles are over answers that came whole."""

    requests: int
    errors: int
    prompt_tokens: int
    completion_tokens: int
    uncounted: int
    p50_ms: float | None
    p95_ms: float | None
    first_byte_p50_ms: float | None


@dataclass(frozen=True, slots=True)
class Tally:
    """What the store holds of a time. Buckets are by number and side: requests, tokens, median latency."""

    requests: int
    fallbacks: int
    buckets: dict[tuple[int, str], tuple[int, int]]
    medians: dict[tuple[int, str], float]
    sides: dict[str, SideTotals]
    reasons: list[tuple[str | None, str, int]]


def tally(path: Path, since: float, bucket_s: float) -> Tally:
    """Count what happened since then. A store that is not there yet holds nothing. Raises OSError when it is broken."""
    if not path.is_file():
        return Tally(0, 0, {}, {}, {}, [])
    try:
        with opened(path) as database:
            return _tally(database, since, bucket_s)
    except sqlite3.Error as error:
        raise OSError(f"the store cannot be read: {error}") from error


def _tally(database: sqlite3.Connection, since: float, bucket_s: float) -> Tally:
    database.execute(_GATHER, {"since": since, "bucket": bucket_s, "rows": ROWS_MAX})
    requests, fallbacks = database.execute(_TOTALS).fetchone()
    buckets = {(k, side): (count, tokens) for k, side, count, tokens in database.execute(_BUCKETS)}
    middles: list[tuple[int, str, float]] = database.execute(_quantile("ms", "k, side", 0.5)).fetchall()
    quantiles: list[dict[str, float]] = [
        dict(database.execute(_quantile(column, "side", share)).fetchall())
        for column, share in (("ms", 0.5), ("ms", 0.95), ("first_ms", 0.5))
    ]
    sides: dict[str, SideTotals] = {}
    for row in database.execute(_SIDES):
        side, counts = row[0], row[1:]
        sides[side] = SideTotals(*counts, *(found.get(side) for found in quantiles))
    reasons: list[Any] = database.execute(_REASONS).fetchall()
    return Tally(
        requests, fallbacks or 0, buckets, {(k, side): ms for k, side, ms in middles}, sides, reasons
    )


def _quantile(column: str, by: str, share: float) -> str:
    """The query of a quantile for each group. All three come from this module, none from outside."""
    return f"""
    select {by}, {column} from (
      select {by}, {column}, row_number() over (partition by {by} order by {column}) as place,
        count(*) over (partition by {by}) as many
      from e where {column} is not null and side is not null)
    where place = max(1, cast(many * {share} + 0.999999 as integer))
    """  # noqa: S608
