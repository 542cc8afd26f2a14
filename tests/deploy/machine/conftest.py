"""One session: the layers are made first, then the machines on them, in the order of the tests."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.machine.bare import CACHE, ROOT, SUITE, base
from tests.deploy.machine.machine import Machine
from tests.deploy.machine.publisher import Publisher, bun_release
from tests.deploy.machine.straight import Straight
from tests.deploy.machine.transcript import Transcript

PEOPLE = ("ann", "ben")
OMP: str = json.loads((ROOT / "tests" / "clients" / "versions.json").read_text())["omp"]["npm"].rpartition(
    "@"
)[2]


@pytest.fixture(scope="session")
def transcript(request: pytest.FixtureRequest) -> Iterator[Transcript]:
    release = (base() / "etc" / "os-release").read_text(encoding="utf-8")
    made = Transcript(release.split('PRETTY_NAME="')[1].split('"')[0])
    yield made
    whole = request.config.args == ["tests/deploy"] and not request.config.getoption("keyword")
    if whole and not request.session.testsfailed:
        made.write()


@pytest.fixture(scope="session")
def publisher() -> Iterator[Publisher]:
    with Publisher(bun_release()) as made:
        yield made


@pytest.fixture(scope="session")
def options(publisher: Publisher) -> str:
    """What install.sh is told here in place of its publishers' addresses."""
    from tests.deploy.machine.publisher import MODEL_NAME

    at = f"http://10.0.2.2:{publisher.port}"
    return f"--bun-url {at}/bun --model-url {at}/models/{MODEL_NAME} --registry {at} --gpu cpu --omp-version {OMP}"


@pytest.fixture(scope="session")
def layers(transcript: Transcript, options: str) -> list[Path]:
    """A bare server with two people on it, and install.sh's packages: by install.sh itself, once into the cache."""
    wanted = (
        (ROOT / "deploy" / "steps" / "machine.sh").read_text(encoding="utf-8").split("missing_packages()")[0]
    )
    kept = CACHE / f"packages-{SUITE}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    before, after = kept / "before.txt", kept / "after.txt"
    if not after.exists():
        with Machine("packages", [base()]) as machine:
            for name in PEOPLE:
                machine.ok(f"useradd --create-home --shell /bin/bash {name}")
            dry = machine.ok(f"bash /checkout/install.sh {options} --dry-run")
            did = machine.ok(f"bash /checkout/install.sh {options} --only packages")
            machine.ok(
                "rm -rf /var/lib/ai-stack && apt-get clean && systemctl disable --quiet docker.service"
            )
            machine.off()
            kept.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(kept / "layer", ignore_errors=True)
            subprocess.run(["cp", "-a", str(machine.upper), str(kept / "layer")], check=True)
        before.write_text(dry, encoding="utf-8")
        after.write_text(did, encoding="utf-8")
    transcript.chapter("A bare machine: what would be done, and the packages")
    transcript.said("bash install.sh --dry-run", before.read_text(encoding="utf-8"))
    transcript.said("bash install.sh --only packages", after.read_text(encoding="utf-8"))
    return [kept / "layer", base()]


@pytest.fixture(scope="module")
def shared(layers: list[Path]) -> Iterator[Machine]:
    """The machine of the story: installed, used, restarted, cleaned."""
    with Machine("shared", layers) as machine:
        yield machine


@pytest.fixture(scope="module")
def interrupted(layers: list[Path]) -> Iterator[Machine]:
    """A second machine, on which nothing goes well."""
    with Machine("interrupted", layers) as machine:
        yield machine


@pytest.fixture(scope="session")
def straight() -> Straight:
    return Straight()
