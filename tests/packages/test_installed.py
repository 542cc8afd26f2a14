"""The packages as people install them: by pip and by uv, in a home with nothing in it, and then `brainrouter up`."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.daemon import Daemon, eventually
from tests.sim.handle import ROOT

pytestmark = [pytest.mark.packages, pytest.mark.timeout(1200)]
UV = "uv==0.13.9"
READY_S = 300.0
PAGE = "brainrouter/edge/http/page_files/index.html"
# How this machine reaches its registries; nothing else of its environment is there.
NETWORK = ("PIP_", "UV_", "SSL_CERT_", "REQUESTS_CA_", "NODE_EXTRA_CA_", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")  # fmt: skip


class Installed(Daemon):
    """`brainrouter up` of an installed program, away from the checkout."""

    def __init__(self, program: Path, home: Path, env: dict[str, str]) -> None:
        super().__init__(home=home, env=env)
        self._program = program

    def spawn(self) -> Self:
        """Start the process, and wait for nothing."""
        command = [str(self._program), "up", "--socket", str(self.socket_path), "--tcp-addr", "127.0.0.1:0"]
        with self.log_file.open("ab") as log:
            self.child = subprocess.Popen(
                command, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.home
            )
        return self


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(place)], cwd=ROOT, check=True)
    return place


@pytest.fixture
def home() -> Iterator[Path]:
    # Not pytest's tmp_path: a Unix socket's path may have 107 bytes only.
    with tempfile.TemporaryDirectory(prefix="br-home-") as place:
        yield Path(place)


def of_the_person(home: Path) -> dict[str, str]:
    """The environment of somebody new: this machine's network, a home, and no program but the system's."""
    network = {name: value for name, value in os.environ.items() if name.startswith(NETWORK)}
    return {**network, "HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


def make(home: Path, *words: str | Path) -> None:
    """A command that has to work, typed in the home."""
    done = subprocess.run(
        [str(word) for word in words], cwd=home, env=of_the_person(home), capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"


def clean_venv(home: Path) -> Path:
    """Where the programs of a clean environment are."""
    make(home, sys.executable, "-m", "venv", home / "venv")
    return home / "venv" / "bin"


def pip(bin_: Path, *words: str | Path) -> None:
    """`pip install` of that environment."""
    make(bin_.parents[1], bin_ / "python", "-m", "pip", "install", "--quiet", *words)


def settled_side(daemon: Daemon) -> dict[str, str]:
    """What became of the embedded model, once something did."""
    local = daemon.health()["local"]
    return local if local["state"] in ("ready", "failed") else {}


def answers(program: Path, home: Path) -> None:
    """Its own model answers a request, in a home in which it never ran."""
    said = subprocess.run([str(program), "--version"], cwd=home, env=of_the_person(home), capture_output=True, text=True, check=True)  # fmt: skip
    assert said.stdout.startswith("brainrouter, version ")
    with Installed(program, home, of_the_person(home)) as daemon:
        assert daemon.health()["status"] == "ok"
        assert b"<html" in daemon.send("GET", "/").body
        settled = eventually(lambda: settled_side(daemon), READY_S, "the embedded model")
        assert settled["state"] == "ready", settled
        answer = daemon.chat("local", "Say hello.", max_tokens=8)
        assert answer.status == 200, answer
        assert answer.text.strip()
        assert daemon.stop(30) == 0


def test_the_wheel_by_pip_answers(dist: Path, home: Path):
    (wheel,) = dist.glob("*.whl")
    programs = clean_venv(home)
    pip(programs, wheel)
    answers(programs / "brainrouter", home)


def test_the_wheel_by_uv_answers(dist: Path, home: Path):
    (wheel,) = dist.glob("*.whl")
    programs = clean_venv(home)
    pip(programs, UV)
    # Where its own installer puts it.
    (home / ".local" / "bin").mkdir(parents=True)
    (home / ".local" / "bin" / "uv").symlink_to(programs / "uv")
    make(
        home,
        home / ".local" / "bin" / "uv",
        "tool",
        "install",
        "--python",
        sys.executable,
        "--no-python-downloads",
        wheel,
    )
    answers(home / ".local" / "bin" / "brainrouter", home)


def test_the_source_package_by_pip_with_the_locked_versions_answers(dist: Path, home: Path):
    (sdist,) = dist.glob("*.tar.gz")
    programs = clean_venv(home)
    pip(programs, "--require-hashes", "--requirement", ROOT / "requirements.lock")
    pip(programs, "--no-build-isolation", sdist)
    answers(programs / "brainrouter", home)


def test_both_hold_the_dashboard_and_nothing_of_the_house(dist: Path):
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    assert PAGE in names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"brainrouter"}
    with tarfile.open(sdist) as tar:
        inside = {name.partition("/")[2] for name in tar.getnames()}
    assert {"pyproject.toml", "hatch_build.py", "LICENSE", "src/brainrouter/__init__.py"} <= inside
    assert not [name for name in inside if name.split("/")[0] in (".venv", ".cache", ".git")]
    assert not [name for name in inside if "node_modules" in name.split("/")]
