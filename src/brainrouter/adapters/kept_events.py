"""What the store holds of events, for those who read it: the rows of both its tables, as one event each."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator
from pathlib import Path

# Every event from :since on as its `time` and its JSON `b`, in no order. Only the batches and rows that hold the newest
# :rows are read; since they may hold more, who asks takes the newest :rows of what comes. `limit -1` keeps the inner
# query one of its own: taken into the reader's, it would write `value` anew for every field that is looked for.
EVENTS = """
select json_extract(b, '$.time') as time, b from (
  select cast(body as text) as b from (select body from events where time >= :since order by time desc limit :rows)
  union all
  select value from (
    select rowid as number, sum(count) over (order by time desc rows unbounded preceding) - count as younger
    from (select rowid, time, count from batches where time >= :since order by time desc limit :rows)
  ) cross join batches on batches.rowid = number cross join json_each(cast(body as text))
  where younger < :rows
  limit -1
) where json_extract(b, '$.time') >= :since
"""


@contextlib.contextmanager
def opened(path: Path) -> Generator[sqlite3.Connection]:
    """The database, only to be read, so that EVENTS can be asked of it. What goes wrong is an sqlite3.Error."""
    with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        # The version before knew no batches, and may be the one that still runs.
        if not database.execute("select 1 from sqlite_master where name = 'batches'").fetchone():
            database.execute("create temp table batches (time real, count integer, body blob)")
        yield database
