"""A whole run of the catalogue: row by row, told as it goes, kept as it goes, taken up again where it was broken off."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.faults import table
from tests.faults.catalogue import OUTCOMES, Outcome, Row
from tests.faults.table import Told

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".cache" / "faults"
SOURCES = ("src", "tests/faults", "tests/attacks", "tests/sim")


class WholeRun:
    """The pytest plugin of `--whole`. `anew`: also what held on this very code is run again."""

    def __init__(self, share: float, *, anew: bool, kept: Path = KEPT) -> None:
        self._share, self._anew, self._kept = share, anew, kept
        self._code, self._commit = fingerprint(ROOT, SOURCES), commit(ROOT)
        self._done = self._ahead = 0
        self._left: dict[str, float] = {}
        self._terminal: pytest.TerminalReporter | None = None

    @pytest.hookimpl(trylast=True)  # after -k and -m have chosen
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what held already, while something of the catalogue has not."""
        self._kept.mkdir(parents=True, exist_ok=True)
        told = {name: self._read(name) for name in table.wanted()}
        rows = {item.nodeid: row for item in items if (row := _row(item))}
        held = {name for name, one in told.items() if one and self._holds(one)}
        if self._anew or held.issuperset(row.id for row in rows.values()):
            for row in rows.values():
                self._forget(row.id)
            held = set[str]()
        over = [item for item in items if item.nodeid in rows and rows[item.nodeid].id in held]
        config.hook.pytest_deselected(items=over)
        items[:] = [item for item in items if item not in over]
        ahead = [rows[item.nodeid].id for item in items if item.nodeid in rows]
        self._ahead = len(ahead)
        self._left = {name: one["took_s"] if (one := told[name]) else 0.0 for name in ahead}
        self._terminal = config.pluginmanager.get_plugin("terminalreporter")
        if over:
            self._say(f"{len(over)} rows held on this code already; `--anew` runs them again")

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """No dots: each row has a line of its own."""
        return (report.outcome, "", report.outcome) if report.when == "call" else None

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Keep what the row found, and say how far the run is."""
        for name, outcome in list(OUTCOMES.items()):
            if name in self._left and outcome.ended:
                del self._left[name]
                self._done += 1
                told = self._told(outcome)
                (self._kept / f"{name}.json").write_text(json.dumps(told), encoding="utf-8")
                result = f"FAILED: {told['wrong']}" if told["wrong"] else "held"
                self._say(
                    f"[{self._done}/{self._ahead}] {name} {outcome.row.title}: {result}, {outcome.tried:,} cases, "
                    f"{outcome.took_s:.0f} s{self._remaining()}"
                )

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The table, and the page when every row was run here."""
        told = [one for name in table.wanted() if (one := self._read(name))]
        if told:
            terminalreporter.write(table.page(told))
        if len(told) == len(table.wanted()):
            table.PAGE.write_text(table.page(told), encoding="utf-8")

    def _remaining(self) -> str:
        if not self._left or not all(self._left.values()):
            return f"; {len(self._left)} to go"
        return f"; {len(self._left)} to go, about {sum(self._left.values()) / 60:.0f} min"

    def _holds(self, told: Told) -> bool:
        return not told["wrong"] and told["code"] == self._code and told["share"] >= self._share

    def _read(self, name: str) -> Told | None:
        file = self._kept / f"{name}.json"
        told: Told = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        return told if "code" in told else None

    def _forget(self, name: str) -> None:
        """What failed before does not count against a run that begins anew; how long it took is still of use."""
        told = self._read(name)
        if told is not None:
            told["code"] = ""
            (self._kept / f"{name}.json").write_text(json.dumps(told), encoding="utf-8")

    def _told(self, outcome: Outcome) -> Told:
        row, before = outcome.row, self._read(outcome.row.id)
        earlier: list[str] = []
        if before and before["code"] == self._code and before["wrong"]:
            earlier = [*before["earlier"], before["wrong"]]
        return {
            "id": row.id, "title": row.title, "expected": row.expected, "tried": outcome.tried,
            "figures": outcome.figures, "bounds": outcome.bounds, "wrong": outcome.wrong, "earlier": earlier,
            "promises": {promise.name: counts for promise, counts in outcome.promises.items()},
            "share": outcome.share, "took_s": outcome.took_s, "code": self._code, "commit": self._commit,
            "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"), "machine": machine(),
        }  # fmt: skip

    def _say(self, line: str) -> None:
        if self._terminal is not None:
            self._terminal.write_line(line)


def _row(item: pytest.Item) -> Row | None:
    callspec = getattr(item, "callspec", None)
    row = callspec.params.get("row") if callspec is not None else None
    return row if isinstance(row, Row) else None


def fingerprint(root: Path, sources: Iterable[str]) -> str:
    """What tells two states of the code apart: the content of all Python files under these folders."""
    found = hashlib.sha256()
    for source in sources:
        for file in sorted((root / source).rglob("*.py")):
            found.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes() + b"\0")
    return found.hexdigest()


def commit(root: Path) -> str:
    """The commit that is checked out, with a plus when the code was changed since."""
    asked = ["git", "-C", str(root)]
    try:
        name = subprocess.run(
            [*asked, "rev-parse", "--short", "HEAD"], capture_output=True, check=True
        ).stdout
        changed = subprocess.run(
            [*asked, "status", "--porcelain", "--", "src", "tests"], capture_output=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name.decode().strip() + ("+" if changed.strip() else "")


def machine() -> str:
    """What it was run on."""
    return f"{os.cpu_count()} cores of {platform.machine()}, {platform.system()}, Python {platform.python_version()}"
