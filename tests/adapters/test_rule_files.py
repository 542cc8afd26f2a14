"""A project's rules are read off the event loop, once for all who ask meanwhile."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from brainrouter.adapters import rule_files
from brainrouter.adapters.rule_files import Found, RuleFiles
from brainrouter.brain.project_rules import FILE


class Slow(RuleFiles):
    """Reads when it is let."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.reads = 0
        self.may = threading.Event()

    def read(self, folder: str) -> Found:
        self.reads += 1
        assert self.may.wait(30)
        return super().read(folder)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / FILE).write_text("never_cloud: true\n", encoding="utf-8")
    return str(tmp_path)


def test_who_asks_while_somebody_looks_waits_for_the_same_look(folder: str, tmp_path: Path) -> None:
    async def main() -> None:
        files = Slow(tmp_path)
        asked = [asyncio.ensure_future(files.look(folder)) for _ in range(20)]
        while not files.reads:
            await asyncio.sleep(0.001)
        asked[0].cancel()  # one who leaves takes nobody along
        files.may.set()
        found = await asyncio.gather(*asked[1:])
        assert files.reads == 1
        assert found[0]
        assert all(one is found[0] for one in found)
        assert files.known(folder) is found[0]
        assert await files.look(folder) == found[0]
        assert files.reads == 2

    asyncio.run(main())


def test_a_folder_that_cannot_be_read_in_time_is_a_problem_and_is_looked_at_again(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_files, "LOOK_S", 0.02)

    async def main() -> None:
        files = Slow(tmp_path)
        (late,) = await files.look(folder)
        assert "in time" in late.problem
        assert files.known(folder) is None
        files.may.set()
        monkeypatch.setattr(rule_files, "LOOK_S", 30.0)
        (found,) = await files.look(folder)
        assert not found.problem

    asyncio.run(main())
