"""What the chats remember survives crashes, and is for nobody else."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from brainrouter.bridge.state import SEEN_S, Session, State, StateRefused
from tests.daemon import ROOT, eventually

NAMES = ["discord-channel-models.json", "discord-sessions.json", "discord-work-dirs.json"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "omp-bridge"


def opened(folder: Path, platform: str = "discord") -> State:
    state = State(folder, platform)
    assert state.open() == []
    return state


async def fill(state: State) -> None:
    state.session("c/1+=").session = "abcdefgh"
    state.session("c/1+=").pending.append("7")
    await state.keep_session("c/1+=")
    await state.set_model("c/1+=", "brainrouter/local")
    await state.set_folder("c/1+=", "a/b")


def test_everything_is_there_again_after_a_restart_in_three_private_files(folder: Path):
    state = opened(folder)
    asyncio.run(fill(state))
    state.close()
    assert sorted(file.name for file in folder.glob("*.json")) == NAMES
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    again = opened(folder)
    assert (again.session("c/1+=").session, again.session("c/1+=").pending) == ("abcdefgh", ["7"])
    assert (again.model("c/1+="), again.folder("c/1+=")) == ("brainrouter/local", "a/b")
    again.close()


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b'{"version": 1, "channels": []}', b"\xff\xfe", b'{"channels": {}}']
)
@pytest.mark.parametrize("name", NAMES)
def test_a_broken_file_is_put_aside_and_said(folder: Path, name: str, raw: bytes):
    folder.mkdir()
    (folder / name).write_bytes(raw)
    state = State(folder, "discord")
    (aside,) = state.open()
    assert aside.startswith(f"{name}.broken-")
    assert (folder / aside).read_bytes() == raw
    asyncio.run(fill(state))
    state.close()


def test_a_newer_format_is_left_alone(folder: Path):
    folder.mkdir()
    (folder / NAMES[1]).write_text('{"version": 2, "channels": {"x": 5}}')
    with pytest.raises(StateRefused, match="newer brainrouter"):
        State(folder, "discord").open()
    assert json.loads((folder / NAMES[1]).read_text())["version"] == 2


def test_two_bridges_never_share_an_account_but_both_platforms_run(folder: Path):
    first = opened(folder)
    with pytest.raises(StateRefused, match="another brainrouter"):
        State(folder, "discord").open()
    opened(folder, "signal").close()
    first.close()
    opened(folder).close()


def test_a_file_that_cannot_be_written_is_an_error_and_the_old_one_stays(folder: Path):
    state = opened(folder)
    asyncio.run(fill(state))
    before = (folder / NAMES[0]).read_bytes()
    (folder / f".{NAMES[0]}.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        asyncio.run(state.set_model("other", "brainrouter/cloud"))
    assert (folder / NAMES[0]).read_bytes() == before
    state.close()


def test_messages_heard_are_remembered_for_ten_minutes():
    session = Session()
    assert session.hear("1", 1000.0)
    assert not session.hear("1", 1000.0 + SEEN_S - 1)
    assert session.hear("2", 1000.0 + SEEN_S + 1)
    assert list(session.seen) == ["2"]


WRITER = """
import asyncio, sys
from pathlib import Path
from brainrouter.bridge.state import State
async def main():
    state = State(Path(sys.argv[1]), "discord")
    assert state.open() == []
    print("open", flush=True)
    for n in range(1_000_000):
        state.session(f"c{n % 50}").pending = [str(n)] * 20
        await state.keep_session(f"c{n % 50}")
        await state.set_model(f"c{n % 50}", "brainrouter/" + "m" * (n % 100))
asyncio.run(main())
"""


def until_written(file: Path, milliseconds: int) -> None:
    """Until some writes after now, and a little on, so that the kill hits every moment of a write."""
    begun = file.stat().st_mtime_ns if file.exists() else 0
    eventually(lambda: file.exists() and file.stat().st_mtime_ns > begun + milliseconds % 7 * 1_000_000)


def killed_while_writing(folder: Path, times: int) -> None:
    for number in range(times):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, cwd=ROOT
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        until_written(folder / NAMES[0], number)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        opened(folder).close()  # nothing was broken


def test_a_kill_while_writing_breaks_nothing(folder: Path):
    killed_while_writing(folder, 5)


@pytest.mark.load
@pytest.mark.timeout(300)
def test_two_hundred_kills_while_writing_break_nothing(folder: Path):
    killed_while_writing(folder, 200)


def test_ten_thousand_channels_are_read_in_no_time(folder: Path):
    folder.mkdir()
    rows = {str(n): {"session": "abcdefgh", "seen": {"1": 1.0}} for n in range(10_000)}
    (folder / NAMES[1]).write_text(json.dumps({"version": 1, "channels": rows}))
    begun = time.monotonic()
    state = opened(folder)
    assert len(state.sessions()) == 10_000
    assert time.monotonic() - begun < 10
    state.close()
