"""The machinery of the catalogue: a row, what a row is given, the promises that are counted, and what came out.

A row is a line of a table and a function. `make test` runs the quick rows once; `make faults` (`--whole`) runs every
row, as often as it says, and writes the table.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, TypeVar

import pytest

Weight = Literal["quick", "long"]
T = TypeVar("T")


class Promise(Enum):
    """What must never happen. Each check of one is counted, so that a zero says of how many it is."""

    HANG = "hangs"
    LEAK = "leaks"
    LOST_WRITE = "lost acknowledged writes"
    FALSE_END = "streams that look complete but are not"
    CROSS_SITE = "pages that can act cross-site"
    FOREIGN_CODE = "code run by a hostile repository"


@dataclass(frozen=True)
class Row:
    """One thing to be survived. `long` rows run by `make faults` only; `limit_s` is when a run of it counts as hung."""

    id: str
    title: str
    expected: str
    weight: Weight
    run: Callable[[Trial], None]
    limit_s: float = 60.0


@dataclass
class Outcome:
    """What came of one row: how many cases, its figures, each promise as (checked, broken), and what was wrong.

    `bounds` are the figures that the catalogue sets a limit to, each with whether it was kept.
    """

    row: Row
    share: float = 1.0
    tried: int = 0
    bounds: dict[str, bool] = field(default_factory=dict[str, bool])
    figures: dict[str, str] = field(default_factory=dict[str, str])
    promises: dict[Promise, tuple[int, int]] = field(default_factory=dict[Promise, tuple[int, int]])
    wrong: str = ""
    took_s: float = 0.0
    ended: bool = False


OUTCOMES: dict[str, Outcome] = {}


class Trial:
    """What the function of a row is given. Whatever it opens by `use` is closed after the row."""

    def __init__(
        self,
        outcome: Outcome,
        shared: dict[str, Any],
        shelf: contextlib.ExitStack,
        *,
        whole: bool,
        share: float,
        soak_s: float,
    ) -> None:
        self.whole, self.soak_s = whole, soak_s
        self._share = share
        self._outcome = outcome
        self._shared = shared
        self._shelf = shelf
        self._own = contextlib.ExitStack()
        self._counting = threading.Lock()  # rows may work in several threads

    def runs(self, whole: int, quick: int = 1) -> range:
        """How often to do it: `whole` times in `make faults`, or the share of them that was asked for."""
        return range(max(quick, math.ceil(whole * self._share)) if self.whole else quick)

    def some(self, things: Sequence[T], quick: int = 2) -> Sequence[T]:
        """All of them in `make faults`, else a few from all over."""
        return things if self.whole else things[:: max(1, -(-len(things) // quick))]

    def use(self, thing: contextlib.AbstractContextManager[T]) -> T:
        """Enter a context that ends with the row."""
        return self._own.enter_context(thing)

    def shared(self, name: str, make: Callable[[], contextlib.AbstractContextManager[T]]) -> T:
        """A thing that rows share, such as a daemon between its fakes: made for the first that asks, closed at the end."""
        if name not in self._shared:
            self._shared[name] = self._shelf.enter_context(make())
        return self._shared[name]

    def tried(self, cases: int = 1) -> None:
        """So many more cases were done."""
        with self._counting:
            self._outcome.tried += cases

    def hold(self, promise: Promise, kept: bool, what: str = "") -> None:
        """Count a check of a promise; a broken one fails the row at once."""
        with self._counting:
            checked, broken = self._outcome.promises.get(promise, (0, 0))
            self._outcome.promises[promise] = (checked + 1, broken + (not kept))
        assert kept, f"{promise.value}: {what}"

    def figure(self, name: str, value: float | str, unit: str = "") -> None:
        """A measured figure for the table; of the same name, the last is shown."""
        self._outcome.figures[name] = _shown(value, unit)

    def within(self, name: str, value: float, limit: float, unit: str = "") -> None:
        """A measured time with the limit that is set to it. The table tells when it was missed; no row fails of it, for
        a time is the machine's as much as ours."""
        kept = value <= limit
        self._outcome.bounds[name] = kept
        self._outcome.figures[name] = (
            f"{_shown(value, unit)} ({'' if kept else 'MISSED: '}at most {limit:.3g})"
        )

    def close(self) -> None:
        """End what the row has opened."""
        self._own.close()


def _shown(value: float | str, unit: str) -> str:
    text = value if isinstance(value, str) else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{text} {unit}".rstrip()


def marked(rows: Iterable[Row]) -> list[Any]:
    """The rows as parameters of a test: each with its own limit, long ones only with `--whole`."""
    return [
        pytest.param(row, id=row.id, marks=[pytest.mark.timeout(row.limit_s), *_marks(row)]) for row in rows
    ]


def _marks(row: Row) -> list[pytest.MarkDecorator]:
    return [pytest.mark.whole] if row.weight == "long" else []


@contextlib.contextmanager
def trial_of(
    row: Row,
    shared: dict[str, Any],
    shelf: contextlib.ExitStack,
    *,
    whole: bool,
    share: float = 1.0,
    soak_s: float = 0.0,
) -> Iterator[Trial]:
    """A trial of `row`, whose outcome goes into the table."""
    outcome = OUTCOMES[row.id] = Outcome(row, share)
    trial = Trial(outcome, shared, shelf, whole=whole, share=share, soak_s=soak_s)
    started = time.monotonic()
    try:
        yield trial
    finally:
        outcome.took_s = time.monotonic() - started
        trial.close()


def ended(row: Row, error: BaseException | None) -> None:
    """The function of `row` is over. One that ran out of its time is a hang."""
    outcome = OUTCOMES[row.id]
    outcome.ended = True
    hung = error is not None and str(error).startswith("Timeout")
    checked, broken = outcome.promises.get(Promise.HANG, (0, 0))
    outcome.promises[Promise.HANG] = (checked + 1, broken + hung)
    if error is not None:
        outcome.wrong = (f"{type(error).__name__}: {error}".splitlines() or [""])[0][:200]
