"""`eval`, `calibrate` and `replay`: the decision judged, tuned and tried on paper. Nothing is sent anywhere."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from brainrouter.adapters.eval_set import outcomes, shipped_turns
from brainrouter.adapters.heads_file import load_curve, load_heads
from brainrouter.adapters.history import Past, past
from brainrouter.config import ConfigError, load
from brainrouter.edge.cli.terminal import Terminal
from brainrouter.flows.calibrate import (
    ENOUGH,
    ENOUGH_OUTCOMES,
    Setting,
    Weighed,
    abilities,
    expected,
    for_quality,
    for_share,
    weighed,
)  # fmt: skip
from brainrouter.flows.decide import DEFAULT_KNOB
from brainrouter.flows.evaluate import Measured, Routed, on_outcomes, on_past, on_turns
from brainrouter.flows.replay import Policy, Replayed, replay
from brainrouter.wiring import state_dir

SHOWN = 12
SET_SHOWN = 24
WIDTH = 118


def evaluate(data: Path | None, split: str) -> int:
    """Print how good the decision is: on the shipped turns, on a folder's data when given, on the user's own past."""
    console = _console()
    heads = load_heads()
    routed = on_turns(heads, shipped_turns())
    console.print(_turn_table(routed), _group_table(routed))
    if data is not None:
        try:
            rows = outcomes(data, split)
        except (OSError, ValueError) as error:
            return _fail(str(error))
        measured = on_outcomes(heads, rows)
        console.print(f"{data.name}, {split} split: outcome-labelled requests")
        console.print(
            *(_outcome_table(router, measured) for router in dict.fromkeys(row.router for row in measured))
        )
    try:
        mine = on_past(_history())
    except OSError as error:
        return _fail(str(error))
    if not mine.judged:
        console.print("Your own outcomes: none yet. They are remembered as you work through brainrouter.")
        return 0
    said = (
        "-"
        if math.isnan(mine.expected_local)
        else f"{mine.expected_local:.0%} expected, ECE {mine.ece_local:.3f}"
    )
    console.print(
        f"Your own outcomes: {mine.judged} turns; local {mine.local_good} of {mine.local} good ({said}); "
        f"cloud {mine.cloud_good} of {mine.judged - mine.local} good"
    )
    return 0


def calibrate(cloud_share: float | None, keep_quality: float | None) -> int:
    """Print the knob for a cloud share or a quality, what to expect of it, and the lines for brainrouter.yaml."""
    console = _console()
    try:
        history = _history()
    except OSError as error:
        return _fail(str(error))
    rows, source = weighed(history), "your own requests"
    if len(rows) < ENOUGH:
        console.print(
            f"Only {len(rows)} of your own requests were weighed so far; the shipped curve stands in for them."
        )
        rows, source = [Weighed(*row) for row in load_curve()], "the shipped training curve, out of fold"
    if cloud_share is not None:
        found = for_share(rows, cloud_share)
    elif keep_quality is not None:
        found = for_quality(rows, keep_quality)
    else:
        found = expected(rows, DEFAULT_KNOB)
    console.print(_said(found, f"{len(rows)} rows of {source}"))
    moved = abilities(history)
    console.print("\ndecision:")
    console.print(f"  knob: {found.knob:.3f}")
    if moved:
        console.print("  ability:  # log odds, from how your local models did")
        for model, (shift, count) in moved.items():
            console.print(f'    "{model}": {shift:.2f}  # {count} turns')
    else:
        console.print(f"  # ability: a local model's own offset needs {ENOUGH_OUTCOMES} judged turns of it")
    return 0


def replayed(policy: Path) -> int:
    """Print what another `decision:` section would have changed on the user's own history."""
    try:
        new = load(policy, {}, system=Path(os.devnull)).settings.decision
        now = load(None, os.environ).settings.decision
        history = _history()
    except (ConfigError, OSError) as error:
        return _fail(str(error))
    knob = DEFAULT_KNOB if new.knob is None else new.knob
    _show_replay(_console(), replay(history, Policy(knob, new.ability), now.ability), knob)
    return 0


def _show_replay(console: Console, found: Replayed, knob: float) -> None:
    if not found.weighed:
        console.print(
            f"{found.total} requests kept, none of them weighed by the heads: nothing would change."
        )
        return
    table = Table("when the heads decided", "cloud", "local", width=60)
    table.add_row("as it was", str(found.cloud_before), str(found.weighed - found.cloud_before))
    table.add_row(f"with knob {knob:.3f}", str(found.cloud_after), str(found.weighed - found.cloud_after))
    console.print(table)
    console.print(
        f"{len(found.changes)} of {found.weighed} weighed requests would have gone elsewhere "
        f"({found.total} kept in all); expected successes {found.expected_change:+.1f}; "
        f"{found.known_bad_saved} local answers known to be bad would have gone to the cloud"
    )
    for change in found.changes[-SHOWN:]:
        event = change.item.event
        console.print(
            f"  {event.decision} -> {change.route}  gain {change.gain:.2f}  {event.prompt_excerpt[:70]}"
        )


def _said(found: Setting, source: str) -> str:
    return (
        f"knob {found.knob:.3f}: {found.share:.0%} to the cloud, expected success {found.success:.1%} "
        f"[{found.low:.1%}, {found.high:.1%}] "
        f"(all local {found.all_local:.1%}, all cloud {found.all_cloud:.1%}; {source})"
    )


def _turn_table(rows: Sequence[Routed]) -> Table:
    table = _table("Labelled turns of our own writing, in a harness's envelope")
    for name in ("router", "right", "95 %", "wasted", "lost"):
        _column(table, name, left=name == "router")
    for row in rows:
        between = f"{row.low:.2f}-{row.high:.2f}"
        table.add_row(row.name, f"{row.right:.2f}", between, str(row.wasted), str(row.lost))
    return table


def _group_table(rows: Sequence[Routed]) -> Table:
    table = _table("Right, by the kind of turn")
    for name in ("turns", *(row.name for row in rows)):
        _column(table, name, left=name == "turns")
    for group in rows[0].groups:
        table.add_row(group, *(f"{row.groups[group]:.2f}" for row in rows))
    return table


def _table(title: str) -> Table:
    return Table(title=title, box=SIMPLE_HEAD, title_justify="left")


def _column(table: Table, name: str, *, left: bool) -> None:
    table.add_column(name, justify="left" if left else "right", no_wrap=True)


def _outcome_table(router: str, rows: Sequence[Measured]) -> Table:
    """One router's sets; what a set holds is told apart for the shipped decision only."""
    table = _table(router)
    for name in ("set", "n", "local", "cloud", "AUC local", "95 %", "APGR", "95 %", "lift95", "ECE"):
        _column(table, name, left=name == "set")
    ours = router == rows[0].router
    for row in rows:
        if row.router != router or (row.set.startswith(" ") and not ours):
            continue
        q = row.quality
        table.add_row(
            row.set[:SET_SHOWN], str(q.count), _number(q.small, 2), _number(q.large, 2), _number(q.auc_local, 3),
            _between(row.auc_interval), _number(q.apgr, 3), _between(row.apgr_interval), _number(q.lift95, 1),
            _number(q.ece, 3) if ours else "",
        )  # fmt: skip
    return table


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _between(pair: tuple[float, float]) -> str:
    return "" if math.isnan(pair[0]) else f"{pair[0]:.2f}-{pair[1]:.2f}"


def _history() -> list[Past]:
    return past(state_dir(os.environ) / "brainrouter.db")


def _console() -> Console:
    return Terminal(width=None if sys.stdout.isatty() else WIDTH, highlight=False, markup=False)


def _fail(message: str) -> int:
    print(f"brainrouter: {message}", file=sys.stderr)
    return 1
