"""S1 to S5: the disk, the database, the configuration and the clock."""

from __future__ import annotations

import contextlib
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from brainrouter.adapters.history import past
from tests.daemon import Daemon
from tests.faults.catalogue import Promise, Row, Trial
from tests.faults.rig import TEXT, eventually, patient, pid_of, quiet
from tests.faults.ways import WAYS, unique
from tests.repos import make_repo, write
from tests.sim.handle import ROOT, SimLlamaSwap, SimManifest
from tests.sim.scripts import answer

CLOCK = ROOT / "tests" / "sim" / "clock"
OBJECTS = "STATUS: needs_revision\nFINDING: a.py\nQUOTE: return a - b\nWHY: it subtracts"
DAY_S = 86_400


@contextlib.contextmanager
def alone(**options: Any) -> Iterator[tuple[Daemon, SimManifest]]:
    """A daemon of its own with a cloud that answers; not started yet."""
    with SimManifest() as cloud:
        cloud.script(answer(TEXT))
        daemon = Daemon(manifest=f"{cloud.url}/v1", config={"review": {"forced_mode": "cloud"}}, **options)
        try:
            yield daemon, cloud
        finally:
            daemon.close()


def serves(trial: Trial, daemon: Daemon, times: int = 1) -> None:
    """Every way is answered."""
    for _ in range(times):
        for way in WAYS:
            heard = way.ask(daemon, "cloud", unique("serves"))
            assert (heard.status, heard.text) == (200, TEXT), heard
            trial.tried()


def says(daemon: Daemon, words: str) -> None:
    """Its log has these words; a thread of its own writes them."""
    eventually(lambda: words in daemon.log(), what=words)


def kept_events(database: Path) -> int:
    """How many events the database holds."""
    return len(past(database))


def killed_while_writing(trial: Trial) -> None:
    """SIGKILL at random while reviews are written: all that was acknowledged is there, whole."""
    home = Path(tempfile.mkdtemp(prefix="br-"))
    made = make_repo(home / "project")
    write(made, {"a.py": "def add(a, b):\n    return a - b\n"})
    chance = random.Random(1)
    acknowledged: dict[str, dict[str, Any]] = {}
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        model = stack.enter_context(SimLlamaSwap())
        model.script(answer(OBJECTS))
        config = {"review": {"forced_mode": "local"}, "limits": {"drain_s": 0.3}}
        daemon = Daemon(llama_swap=f"{model.url}/v1", home=home, config=config)
        stack.callback(daemon.close)
        daemon.start()
        for turn in trial.runs(200, 2):
            callers = [
                threading.Thread(target=_review, args=(daemon, f"t{turn}-{n}", acknowledged))
                for n in range(4)
            ]
            for caller in callers:
                caller.start()
            callers[0].join(chance.random() * 0.7)
            assert daemon.child is not None
            daemon.child.kill()
            daemon.child.wait()
            daemon.socket_path.with_suffix(".port").unlink(missing_ok=True)
            for caller in callers:
                caller.join()
            daemon.start()
            trial.tried()
        assert acknowledged, "nothing was ever acknowledged"
        _all_there(trial, daemon, acknowledged)
        with contextlib.closing(sqlite3.connect(daemon.database)) as database:
            assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    trial.figure("kills", len(trial.runs(200, 2)))
    trial.figure("acknowledged reviews", len(acknowledged))


def _review(daemon: Daemon, task: str, acknowledged: dict[str, dict[str, Any]]) -> None:
    body = {"taskId": task, "summary": f"summary of {task}", "cwd": str(daemon.home / "project")}
    with contextlib.suppress(OSError, ValueError, EOFError, AssertionError):
        found = daemon.send("POST", "/review/api/request", body)
        if found.status == 200:
            acknowledged[task] = found.json()


def _all_there(trial: Trial, daemon: Daemon, acknowledged: dict[str, dict[str, Any]]) -> None:
    for task, said in acknowledged.items():
        found = daemon.send("GET", f"/review/api/sessions/{said['sessionId']}")
        kept = (
            found.status == 200
            and found.json()["status"] == said["status"]
            and bool(found.json()["rounds"][-1]["feedback"])
        )
        trial.hold(Promise.LOST_WRITE, kept, f"{task}: {found}")
    rows = daemon.get("/review/api/sessions?limit=500")["sessions"]
    assert not any(row["running"] for row in rows)
    assert all(row["interrupted"] for row in rows if row["status"] == "pending" and row["iteration"])


def no_room(trial: Trial) -> None:
    """No file may grow any more, as on a full disk; then there is room again. And folders that cannot be written."""
    with alone() as (daemon, _):
        daemon.start()
        pid = pid_of(daemon)
        serves(trial, daemon)
        eventually(lambda: kept_events(daemon.database) == 6, what="events on disk")
        full = daemon.database.with_name("brainrouter.db-wal").stat().st_size
        was = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (full, was[1]))
        try:
            serves(trial, daemon, len(trial.runs(100, 5)))
            eventually(lambda: daemon.health()["events_lost"] > 0, what="it says that events are lost")
            assert daemon.health()["status"] == "ok"
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, was)
        before = kept_events(daemon.database)
        serves(trial, daemon)
        eventually(lambda: kept_events(daemon.database) >= before + 6, what="it writes again by itself")
        lost = daemon.health()["events_lost"]
        trial.figure("requests dropped", 0)
        trial.figure("events not kept while full, and counted", lost)
        quiet(trial, daemon)
    _small_disk(trial)
    for nowhere in ("/proc", "/dev/null"):
        with alone(env={"XDG_STATE_HOME": nowhere, "XDG_CONFIG_HOME": nowhere}) as (daemon, _):
            daemon.start()
            serves(trial, daemon)
            eventually(
                lambda there=daemon: there.health()["events_lost"] >= 6, what="it says that they are not kept"
            )
            says(daemon, "cannot be used")
            assert daemon.stop() == 0


def _small_disk(trial: Trial) -> None:
    """A real disk that is full, where it may be mounted."""
    with alone() as (daemon, _):
        disk = daemon.database.parent
        disk.mkdir(parents=True)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", str(disk)],
            capture_output=True,
            check=False,
        )
        trial.figure("a disk of 1 MB", "needs root" if mounted.returncode else "filled up, then made room on")
        if mounted.returncode:
            return
        try:
            daemon.start()
            serves(trial, daemon)
            ballast = disk / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while file.write(b"x" * 4096):
                    pass
            serves(trial, daemon, len(trial.runs(100, 5)))
            eventually(lambda: daemon.health()["events_lost"] > 0, what="it says that events are lost")
            ballast.unlink()
            before = kept_events(daemon.database)
            serves(trial, daemon)
            eventually(lambda: kept_events(daemon.database) >= before + 6, what="it writes again by itself")
            quiet(trial, daemon)
            assert daemon.stop() == 0
        finally:
            daemon.close()
            subprocess.run(["umount", "-l", str(disk)], check=True)


def bad_database(trial: Trial) -> None:
    """Damaged, from the future, a folder, locked by another."""
    for name in ("rubbish", "cut", "empty", "future", "folder"):
        with alone() as (daemon, _):
            daemon.start()
            serves(trial, daemon)
            eventually(lambda there=daemon: kept_events(there.database) == 6, what="events on disk")
            assert daemon.stop() == 0
            daemon.socket_path.with_suffix(".port").unlink(missing_ok=True)
            before = _spoil(daemon.database, name)
            daemon.start()
            serves(trial, daemon)
            if name in ("future", "folder"):  # not ours to touch
                eventually(
                    lambda there=daemon: there.health()["events_lost"] >= 6,
                    what="it says that they are not kept",
                )
                says(daemon, "cannot be used")
            else:
                eventually(lambda there=daemon: kept_events(there.database) >= 6, what="a new one is written")
            if name in ("rubbish", "cut"):
                (aside,) = daemon.database.parent.glob("brainrouter.db.broken-*[0-9]")
                assert aside.read_bytes() == before
                says(daemon, "was damaged")
            quiet(trial, daemon)
    with alone() as (daemon, _):
        daemon.start()
        serves(trial, daemon)
        eventually(lambda: kept_events(daemon.database) == 6, what="events on disk")
        with contextlib.closing(sqlite3.connect(daemon.database, isolation_level=None)) as other:
            other.execute("begin exclusive")
            serves(trial, daemon)
            other.execute("rollback")
        serves(trial, daemon)
        eventually(
            lambda: kept_events(daemon.database) + daemon.health()["events_lost"] >= 18,
            20.0,
            "kept or counted",
        )
        trial.hold(Promise.LOST_WRITE, kept_events(daemon.database) + daemon.health()["events_lost"] == 18)
        quiet(trial, daemon)


def _spoil(database: Path, how: str) -> bytes:
    """Make a database bad; what it then holds."""
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    raw = database.read_bytes()
    if how == "folder":
        database.unlink()
        database.mkdir()
        return b""
    if how == "future":
        with contextlib.closing(sqlite3.connect(database)) as opened:
            opened.execute("pragma user_version=999")
        return database.read_bytes()
    chance = random.Random(3)
    spoilt = {"rubbish": chance.randbytes(20_000), "cut": raw[: len(raw) // 3 + 7], "empty": b""}[how]
    database.write_bytes(spoilt)
    return spoilt


BAD_CONFIGS = {
    "broken YAML": b"manifest: [",
    "a key that is none": b"manifest:\n  base_ulr: http://127.0.0.1:1/v1\n",
    "a bad URL": b"manifest:\n  base_url: ftp://nowhere\n",
    "a wrong type": b"limits:\n  total_s: soon\n",
    "no text": b"\xff\xfe\x00",
    "half of it": b'{"manifest": {"base_url": "http://127',
}


def config_edited(trial: Trial) -> None:
    """Bad files under load, a storm of signals, then a good one."""
    with patient() as stage:
        daemon, storm = stage.daemon, len(trial.runs(500, 60))
        stage.manifest.script(answer(TEXT))
        good = daemon.config_file.read_bytes()
        assert daemon.child is not None
        for name, raw in {**BAD_CONFIGS, "a folder": None}.items():
            _replace(daemon.config_file, raw)
            daemon.child.send_signal(signal.SIGHUP)
            eventually(lambda: daemon.health()["config"]["state"] == "refused", what=name)
            assert str(daemon.config_file) in daemon.health()["config"]["error"]
            serves(trial, daemon)
        _replace(daemon.config_file, good)
        daemon.child.send_signal(signal.SIGHUP)
        eventually(lambda: daemon.health()["config"]["state"] == "ok", what="the good one is taken")
        asking = threading.Thread(target=serves, args=(trial, daemon, 100 if trial.whole else 5))
        asking.start()
        for number in range(storm):
            _replace(daemon.config_file, good if number % 2 else BAD_CONFIGS["broken YAML"])
            daemon.child.send_signal(signal.SIGHUP)
        asking.join()
        _replace(daemon.config_file, good)
        eventually(lambda: daemon.health()["config"]["state"] == "ok", what="the good one is in force")
        serves(trial, daemon)
        trial.figure("signals under load", storm)
        quiet(trial, daemon)


def _replace(file: Path, raw: bytes | None) -> None:
    """Another file in its place; None: a folder, which nobody can read."""
    if file.is_dir():
        file.rmdir()
    if raw is None:
        file.unlink()
        file.mkdir()
        return
    fresh = file.with_suffix(".new")
    fresh.write_bytes(raw)
    fresh.replace(file)


def jumping_clock(trial: Trial) -> None:
    """The wall clock goes a day forward and two back under load, and while a side rests."""
    with SimManifest() as cloud, SimLlamaSwap() as local:
        daemon = Daemon(manifest=f"{cloud.url}/v1", llama_swap=f"{local.url}/v1")
        file = daemon.home / "clock"
        daemon.setenv({"PYTHONPATH": str(CLOCK), "SIM_CLOCK": str(file)})
        with daemon:
            for _ in trial.runs(10):
                for jump in (DAY_S, -DAY_S, 0):
                    for sim in (cloud, local):
                        sim.reset()
                        sim.script(answer(TEXT, gap_s=0.02))
                    streams = [threading.Thread(target=_whole, args=(trial, daemon, way)) for way in WAYS]
                    for stream in streams:
                        stream.start()
                    eventually(lambda: daemon.health()["in_flight"], what="streams are under way")
                    file.write_text(str(jump), encoding="ascii")
                    for stream in streams:
                        stream.join()
                    serves(trial, daemon)
                    assert abs(daemon.events(1)[0]["time"] - time.time() - jump) < 60
            _rests_as_before(daemon, cloud, file)
            quiet(trial, daemon)


def _whole(trial: Trial, daemon: Daemon, way: Any) -> None:
    heard = way.ask(daemon, "cloud", "through a jump")
    trial.hold(Promise.FALSE_END, heard.complete and heard.text == TEXT, str(heard))


def _rests_as_before(daemon: Daemon, cloud: SimManifest, file: Path) -> None:
    """A breaker's time is not the wall's: a day forward does not end its minute, a day back does not lengthen a second."""
    file.write_text("0", encoding="ascii")
    for wait, jump in (("60", DAY_S), ("1", -DAY_S)):
        cloud.reset()
        cloud.queue(
            {
                "do": "raw",
                "status": 429,
                "body": {"error": {"message": "slow"}},
                "headers": {"retry-after": wait},
            }
        )
        if wait == "1":  # a fresh start: the first rest still goes on
            daemon.stop()
            daemon.socket_path.with_suffix(".port").unlink(missing_ok=True)
            daemon.start()
        WAYS[1].ask(daemon, "cloud", "rest")
        assert daemon.health()["breakers"]["cloud"]["phase"] == "open"
        file.write_text(str(jump), encoding="ascii")
        if wait == "60":
            assert daemon.health()["breakers"]["cloud"]["phase"] == "open"
        else:
            eventually(
                lambda: daemon.health()["breakers"]["cloud"]["phase"] == "half_open",
                5.0,
                "a second is a second",
            )
        file.write_text("0", encoding="ascii")


ROWS = (
    Row("S1", "SIGKILL at random while reviews are written", "every acknowledged review is there, whole; running ones show as interrupted", "long", killed_while_writing, 900),
    Row("S2", "the disk is full, then has room; the state folder cannot be written", "every request is answered; what is not kept is counted; it writes again by itself", "quick", no_room, 180),
    Row("S3", "the database is rubbish, cut, empty, from the future, a folder, locked", "serves on; a damaged one is laid aside under a name, others are left alone", "long", bad_database, 180),
    Row("S4", "the configuration is broken in seven ways under load; a storm of SIGHUP", "the old one stays in force and the reason is told; a good one is taken; no request fails", "quick", config_edited, 180),
    Row("S5", "the wall clock jumps a day, forward and back", "streams, limits and rests go on as if nothing was", "long", jumping_clock, 180),
)  # fmt: skip
