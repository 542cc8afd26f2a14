"""U1 to U22: upstreams that fail."""

from __future__ import annotations

from tests.faults.catalogue import Row, Trial
from tests.faults.rig import TEXT, honest, median_ms, quiet, stage_of
from tests.faults.ways import WAYS, unique
from tests.sim.scripts import answer


def refused(trial: Trial) -> None:
    stage = stage_of(trial)
    waits: list[float] = []
    for _ in trial.runs(20):
        for way in WAYS:
            stage.clean()
            stage.manifest.listen("refuse", drop=True)
            stage.llama_swap.script(answer(TEXT))
            text = unique("refused")
            heard = way.ask(stage.daemon, "cloud", text)
            assert (heard.status, heard.text) == (200, TEXT)
            honest(trial, heard)
            event = stage.daemon.event(text)
            assert event["fallback"]
            assert stage.daemon.health()["breakers"]["cloud"]["failures"] == 1
            waits.append(heard.begun_s)
            trial.tried()
    quiet(trial, stage.daemon)
    trial.figure("first byte of the stand-in, p50", median_ms(waits), "ms")


ROWS = (
    Row(
        "U1",
        "the upstream refuses connections",
        "the other side answers; the breaker counts",
        "quick",
        refused,
    ),
)
