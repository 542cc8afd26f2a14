"""What the rows stand on: a daemon between both fakes, and what is true of it after every fault."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from tests.daemon import Daemon, Stage, eventually
from tests.faults.catalogue import Promise, Trial
from tests.faults.ways import Heard, Way
from tests.sim.handle import SimLlamaSwap, SimManifest

LIMIT_S = 0.5  # the first byte and the stall of the short-tempered stage
TEXT = "one two three four five six seven eight"


def short_tempered() -> Stage:
    """A daemon that waits half a second at most for anybody."""
    patience = {"first_byte_s": LIMIT_S, "stall_s": LIMIT_S}
    local = {**patience, "fallback_model": "gemma-small"}
    return Stage(manifest=patience, llama_swap=local, limits={"total_s": 3, "drain_s": 2})


def stage_of(trial: Trial) -> Stage:
    """The short-tempered stage, clean."""
    stage = trial.shared("short-tempered", short_tempered)
    stage.clean()
    return stage


def posts(sim: SimManifest | SimLlamaSwap) -> list[dict[str, Any]]:
    """The requests to generate that a fake got."""
    return [request for request in sim.requests() if request["method"] == "POST"]


def honest(trial: Trial, heard: Heard, whole: str = TEXT) -> None:
    """A reply that looks complete is; one that does not says why, in its own protocol."""
    looks = heard.complete
    trial.hold(Promise.FALSE_END, not looks or heard.text == whole, f"{heard.way}: {heard.body[-300:]!r}")
    assert looks or heard.error is not None, f"{heard.way}: no error in its own words: {heard.body[-300:]!r}"


def quiet(trial: Trial, daemon: Daemon) -> None:
    """Nothing of what was done is left: no request in flight, and the daemon says so itself."""
    try:
        eventually(lambda: daemon.health()["in_flight"] == 0, 3.0, "nothing in flight")
        left = ""
    except AssertionError as still:
        left = str(still)
    trial.hold(Promise.LEAK, not left, left)


def resident_kb(pid: int, name: str = "VmRSS") -> int:
    """Memory of a process that is in RAM (`VmHWM`: the most it ever was)."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise AssertionError(f"no {name} of {pid}")


def open_files(pid: int) -> int:
    """How many descriptors a process holds."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def median_ms(seconds: list[float]) -> float:
    """The middle one, in milliseconds."""
    return sorted(seconds)[len(seconds) // 2] * 1000


def timed(way: Way, daemon: Daemon, model: str, text: str) -> tuple[Heard, float]:
    """Ask, and how long the whole of it took."""
    started = time.monotonic()
    heard = way.ask(daemon, model, text)
    return heard, time.monotonic() - started
