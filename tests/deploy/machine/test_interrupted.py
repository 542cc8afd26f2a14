"""Interrupted in every step, after more and more of its commands, and resumed: the machine is as the straight one."""

from __future__ import annotations

import pytest

from tests.deploy.machine.images import load_images
from tests.deploy.machine.machine import Machine
from tests.deploy.machine.straight import Straight, straight_state
from tests.deploy.machine.transcript import Transcript

pytestmark = pytest.mark.deploy
# In the order in which install.sh does them. The packages are the layer below; apt is interrupted in test_podman.
STEPS = "engine group folders share bun omp model brainrouter settings manifest llama_swap polkit profile skel users toolbox"
# Before the how-manieth command of the step; the steps that take long are interrupted less often.
STOPS = [*range(1, 12), *range(13, 60, 4), *range(60, 400, 20)]
FEW = [1, 3, 6, 10, 16, 24, 40, 80]
SLOW = {"omp": FEW, "brainrouter": [1, 4, 9, 14, 20, 28], "users": FEW}
# In a process group of its own, whose number is written down.
BEGIN = (
    "setsid bash -c 'echo $$ >/tmp/killed.pid; exec bash /checkout/install.sh {}' >/tmp/killed.log 2>&1 & "
)
STOP = "BASH_ENV=/checkout/tests/deploy/machine/interrupt.sh STOP_IN={step} STOP_AT={at}"


def test_interrupted_at_every_step_it_comes_to_the_same(
    interrupted: Machine, straight: Straight, transcript: Transcript, options: str
):
    load_images(interrupted, "6.18.0")
    table = ["step           interrupted before its commands              then"]
    for step in STEPS.split():
        stops: list[str] = []
        for at in SLOW.get(step, STOPS):
            run = f"env {STOP.format(step=step, at=at)} bash /checkout/install.sh {options} --only {step}"
            done = interrupted.run(run, quiet=True)
            if done.code == 0:
                break
            assert "missing" not in done.output, done.output
            stops.append(str(at))
        assert stops, step
        interrupted.ok(f"bash /checkout/install.sh {options} --only {step}")
        table.append(f"{step:15}{' '.join(stops):45}done")
    assert interrupted.run(f"bash /checkout/install.sh {options} --check").code == 0
    now, then = straight_state(interrupted), straight.state
    different = {
        path: (then.get(path, "absent"), now.get(path, "absent"))
        for path in then.keys() | now.keys()
        if then.get(path) != now.get(path)
    }
    assert different == {}
    transcript.chapter(
        "Another machine, interrupted (SIGKILL) and resumed, step by step",
        "Afterwards every path, mode, owner and content was as on the first machine, but for secrets and caches.",
    )
    transcript.said("(before which of its commands a step was killed)", "\n".join(table) + "\n")


def test_killed_while_pip_unpacks_it_goes_on(interrupted: Machine, options: str):
    lib = "/usr/local/lib/brainrouter"
    interrupted.ok(f"rm -rf {lib}")
    interrupted.ok(
        BEGIN.format(f"{options} --only brainrouter")
        + f"for try in $(seq 3000); do ls -d {lib}/*/lib/python3*/site-packages/numpy >/dev/null 2>&1 && break; sleep 0.1; done; "
        f"ls -d {lib}/*/lib/python3*/site-packages/numpy && kill -KILL -- -$(cat /tmp/killed.pid)"
    )
    assert interrupted.run("brainrouter --version", quiet=True).code != 0
    interrupted.ok(f"bash /checkout/install.sh {options}")
    assert interrupted.ok("brainrouter --version").startswith("brainrouter, version")


def test_taken_back_after_the_interruptions_nothing_is_left(interrupted: Machine):
    interrupted.ok("bash /checkout/deploy/uninstall.sh --data yes")
    assert interrupted.changed() == {}


def test_taken_back_from_the_middle_of_an_installation_nothing_is_left(interrupted: Machine, options: str):
    for step, at in (("share", 5), ("skel", 30), ("settings", 40), ("users", 3)):
        interrupted.ok(f"bash /checkout/install.sh {options} --only group,folders,share")
        stop = f"env {STOP.format(step=step, at=at)} bash /checkout/install.sh {options} --only {step}"
        interrupted.run(stop, quiet=True)
        interrupted.ok("bash /checkout/deploy/uninstall.sh --data yes")
        assert interrupted.changed() == {}, step
