"""What the chats remember survives crashes, and is for nobody else."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from brainrouter.bridge import state as module
from brainrouter.bridge.state import MOST_SEEN, SEEN_S, Session, State, StateRefused
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


class Disk:
    """In the place of the disk: writes wait for `go`, and what is there can be asked for. Counts what is encoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.begun = threading.Event()
        self.written: list[dict[str, Any]] = []
        self.encoded = 0
        self.fails = 0
        self._write, self._encode = module.write_whole, msgspec.json.encode
        monkeypatch.setattr(module, "write_whole", self.write)
        monkeypatch.setattr(msgspec.json, "encode", self.encode)

    def encode(self, *args: Any, **more: Any) -> bytes:
        self.encoded += 1
        return self._encode(*args, **more)

    def write(self, path: Path, data: bytes) -> None:
        self.begun.set()
        assert self.go.wait(20)
        if self.fails:
            self.fails -= 1
            raise OSError(28, "No space left on device")
        self._write(path, data)
        self.written.append(json.loads(data)["channels"])

    def has(self, channel: str) -> list[str]:
        return self.written[-1].get(channel, {}).get("pending", []) if self.written else []


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


async def says(state: State, channel: str, message: str) -> None:
    state.session(channel).pending.append(message)
    await state.keep_session(channel)


def test_however_many_wait_for_the_disk_one_write_waits_and_each_is_told_when_its_own_is_there(
    folder: Path, disk: Disk
):
    state = opened(folder)
    people, messages = 300, 10
    late = 0

    async def person(name: str) -> None:
        nonlocal late
        for number in range(messages):
            await says(state, name, str(number))
            late += str(number) not in disk.has(name)

    async def crowd() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(people):
                group.create_task(person(f"c{number}"))
            await asyncio.to_thread(disk.begun.wait, 20)
            assert (disk.encoded, disk.written) == (1, [])  # nobody holds a copy of his own
            disk.go.set()

    asyncio.run(crowd())
    assert late == 0
    assert (
        disk.encoded <= 2 * messages
    )  # the first of all is written at once, and stays a write ahead of the rest
    state.close()
    again = opened(folder)
    everything = [str(number) for number in range(messages)]
    assert [again.session(f"c{number}").pending for number in range(people)] == [everything] * people
    again.close()


def test_one_who_stops_waiting_takes_nobody_elses_write_with_him(folder: Path, disk: Disk):
    state = opened(folder)

    async def cut_off() -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(says(state, name, "1")) for name in "abc"]
            await asyncio.to_thread(disk.begun.wait, 20)
            tasks[0].cancel()
            tasks[1].cancel()
            disk.go.set()
        assert [task.cancelled() for task in tasks] == [True, True, False]
        assert [disk.has(name) for name in "abc"] == [["1"]] * 3

    asyncio.run(cut_off())
    state.close()


def test_a_write_that_fails_is_told_to_those_who_waited_for_it_and_the_next_makes_it_good(
    folder: Path, disk: Disk
):
    state = opened(folder)
    disk.fails = 1

    async def full_for_a_while() -> tuple[BaseException | None, BaseException | None]:
        first = asyncio.gather(says(state, "a", "1"), says(state, "b", "1"), return_exceptions=True)
        await asyncio.to_thread(disk.begun.wait, 20)
        disk.go.set()
        return await first

    told, untold = asyncio.run(full_for_a_while())
    assert isinstance(told, OSError)
    assert untold is None
    assert (disk.has("a"), disk.has("b")) == (["1"], ["1"])
    state.close()


def test_what_waits_for_the_disk_when_the_bridge_ends_is_written(folder: Path, disk: Disk):
    state = opened(folder)

    async def ended() -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(says(state, name, "1")) for name in "ab"]
            await asyncio.to_thread(disk.begun.wait, 20)
            for task in tasks:
                task.cancel()
        disk.go.set()
        state.close()

    asyncio.run(ended())
    again = opened(folder)
    assert [again.session(name).pending for name in "ab"] == [["1"], ["1"]]
    again.close()


def test_those_who_left_nothing_behind_leave_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch):
    state = opened(folder)
    now = time.time()
    for name in ("came by", "asked", "waits"):
        assert state.session(name).hear("1", now)
    state.session("asked").session = "abcdefgh"
    state.session("waits").pending.append("1")
    asyncio.run(state.keep_session("came by"))
    assert set(state.sessions()) == {"came by", "asked", "waits"}
    monkeypatch.setattr(time, "time", lambda: now + SEEN_S + 1)
    asyncio.run(state.keep_session("new"))
    assert set(state.sessions()) == {"asked", "waits", "new"}
    assert not state.session("asked").seen
    state.close()


def test_no_more_than_so_many_messages_are_remembered_and_the_latest_always():
    session = Session()
    assert all(session.hear(str(number), 1000.0) for number in range(3 * MOST_SEEN))
    assert len(session.seen) == MOST_SEEN
    assert not any(session.hear(str(number), 1001.0) for number in range(2 * MOST_SEEN, 3 * MOST_SEEN))


def test_messages_heard_are_remembered_for_ten_minutes():
    session = Session()
    assert session.hear("1", 1000.0)
    assert not session.hear("1", 1000.0 + SEEN_S - 1)
    assert session.hear("2", 1000.0 + SEEN_S + 1)
    assert list(session.seen) == ["2"]


WRITER = """
import asyncio, os, sys
from pathlib import Path
from brainrouter.bridge.state import State
async def person(state, name):
    for n in range(1_000_000):
        state.session(name).pending = [str(n)] * 20
        await state.keep_session(name)
        os.write(1, f"{name} {n}\\n".encode())
        await state.set_model(name, "brainrouter/" + "m" * (n % 100))
async def main():
    state = State(Path(sys.argv[1]), "discord")
    assert state.open() == []
    os.write(1, b"open\\n")
    async with asyncio.TaskGroup() as group:
        for n in range(50):
            group.create_task(person(state, f"c{n}"))
asyncio.run(main())
"""


def until_written(file: Path, milliseconds: int) -> None:
    """Until some writes after now, and a little on, so that the kill hits every moment of a write."""
    begun = file.stat().st_mtime_ns if file.exists() else 0
    eventually(lambda: file.exists() and file.stat().st_mtime_ns > begun + milliseconds % 7 * 1_000_000)


def killed_while_writing(folder: Path, times: int) -> None:
    for number in range(times):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, cwd=ROOT, bufsize=0
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        until_written(folder / NAMES[0], number)
        os.kill(child.pid, signal.SIGKILL)
        told = dict(line.split() for line in child.stdout.read().decode().splitlines())
        child.wait()
        child.stdout.close()
        state = opened(folder)  # nothing was broken
        assert told
        assert all(int(state.session(name).pending[0]) >= int(count) for name, count in told.items())
        state.close()


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
