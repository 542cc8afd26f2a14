"""What the rows stand on: a daemon between both fakes, and what is true of it after every fault."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from tests import daemon as daemons
from tests.daemon import Daemon, Stage
from tests.faults.catalogue import Promise, Trial
from tests.faults.ways import WAYS, Heard, Way
from tests.sim.handle import SimLlamaSwap, SimManifest

T = TypeVar("T")
R = TypeVar("R")

LIMIT_S = 0.5  # to the first byte, and between two events, for the short-tempered stage
TOTAL_S = 2.0
TEXT = "one two three four five six seven eight"


PATIENCE_S = 60.0  # what is waited for may take its time on a busy machine; what must be quick is measured
SIDES = ("cloud", "local")
BREAKERS = {"cloud": "cloud", "local": "local:gemma-small"}
Case = tuple[Way, str]


def eventually(condition: Callable[[], T], within_s: float = PATIENCE_S, what: str = "") -> T:
    """The first true value of `condition`, asked again and again."""
    return daemons.eventually(condition, max(within_s, PATIENCE_S), what)


def short_tempered() -> Stage:
    """A daemon that waits half a second at most for anybody, and two for a whole answer."""
    patience = {"first_byte_s": LIMIT_S, "stall_s": LIMIT_S}
    local = {**patience, "fallback_model": "gemma-small"}
    return Stage(manifest=patience, llama_swap=local, limits={"total_s": TOTAL_S, "drain_s": 2})


def patient() -> Stage:
    """A daemon with the limits that users have."""
    return Stage(llama_swap={"fallback_model": "gemma-small"})


def stage_of(trial: Trial) -> Stage:
    """The short-tempered stage, clean."""
    stage = trial.shared("short-tempered", short_tempered)
    stage.clean()
    return stage


def patient_stage(trial: Trial) -> Stage:
    """The patient stage, clean."""
    stage = trial.shared("patient", patient)
    stage.clean()
    return stage


def sim_of(stage: Stage, side: str) -> SimManifest | SimLlamaSwap:
    """The fake behind a side."""
    return stage.manifest if side == "cloud" else stage.llama_swap


def cases(ways: Iterable[Way] = WAYS) -> list[Case]:
    """Every way on both sides: passed through to the cloud, translated for the local model."""
    return [(way, side) for way in ways for side in SIDES]


def together(work: Callable[[T], R], things: Iterable[T], threads: int = 8) -> list[R]:
    """Do it to all of them side by side; what fails is raised."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, things))


def posts(sim: SimManifest | SimLlamaSwap) -> list[dict[str, Any]]:
    """The requests to generate that a fake got."""
    return [request for request in sim.requests() if request["method"] == "POST"]


def honest(trial: Trial, heard: Heard, whole: str = TEXT) -> None:
    """A reply that looks complete is; one that does not says why, in its own protocol."""
    looks = heard.complete
    trial.hold(Promise.FALSE_END, not looks or heard.text == whole, f"{heard.way}: {heard.body[-300:]!r}")
    assert looks or heard.error is not None, f"{heard.way}: no error in its own words: {heard.body[-300:]!r}"


def metrics(daemon: Daemon) -> dict[str, float]:
    """The metrics by name and labels."""
    return _gauges(daemon.send("GET", "/metrics").body)


def _gauges(page: bytes) -> dict[str, float]:
    lines = page.decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def quiet(trial: Trial, daemon: Daemon) -> None:
    """Nothing of what was done is left: no request in flight, no connection of a client, and the daemon says so.

    And the key of the cloud, which the fakes repeat in many of their errors, is not in its log.
    """
    try:
        eventually(lambda: daemon.health()["in_flight"] == 0, what="nothing in flight")
        # the one that asks for the metrics is a client too
        eventually(lambda: metrics(daemon)['brainrouter_connections{end="client"}'] <= 1, what="no client")
        left = ""
    except AssertionError as still:
        left = str(still)
    trial.hold(Promise.LEAK, not left, left)
    trial.hold(Promise.LEAK, SimManifest.key not in daemon.log(), "the key of the cloud is in the log")


def resident_kb(pid: int, name: str = "VmRSS") -> int:
    """Memory of a process that is in RAM (`VmHWM`: the most it ever was)."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise AssertionError(f"no {name} of {pid}")


def open_files(pid: int) -> int:
    """How many descriptors a process holds."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def own_files(daemon: Daemon) -> int:
    """The descriptors of a daemon without its connections to upstreams, which a pool may keep, and to clients."""
    with contextlib.closing(
        daemon.connect()
    ) as asking:  # open still when they are counted, as it is in the gauge
        asking.request("GET", "/metrics")
        gauges = _gauges(asking.getresponse().read())
        held = sum(int(gauges[f'brainrouter_connections{{end="{end}"}}']) for end in ("upstream", "client"))
        return open_files(pid_of(daemon)) - held


def named_files(pid: int) -> list[str]:
    """What the descriptors of a process are of."""
    names: list[str] = []
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            names.append(os.readlink(file).partition("[")[0])
    return sorted(names)


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def forget_peak(pid: int) -> None:
    """Let VmHWM begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def grown_mb(pid: int, before_kb: int) -> float:
    """How much more memory a process held at its worst since `forget_peak`, beside what it held before."""
    return max(0, resident_kb(pid, "VmHWM") - before_kb) / 1024


def pid_of(daemon: Daemon) -> int:
    """The daemon's process id."""
    assert daemon.child is not None
    return daemon.child.pid


def median_ms(seconds: list[float]) -> float:
    """The middle one, in milliseconds."""
    return sorted(seconds)[len(seconds) // 2] * 1000
