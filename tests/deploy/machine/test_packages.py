"""Wheel and sdist, built and then installed with the locked dependencies into clean environments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.machine.bare import ROOT

pytestmark = pytest.mark.deploy


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(place)], cwd=ROOT, check=True)
    return place


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_a_package_installs_into_a_clean_environment_and_runs(dist: Path, tmp_path: Path, kind: str):
    (package,) = dist.glob(kind)
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "--requirement", str(ROOT / "requirements.lock")], check=True)
    subprocess.run([*pip, "--no-build-isolation", str(package)], check=True)
    program = [str(venv / "bin" / "brainrouter"), "--version"]
    said = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said.startswith("brainrouter, version ")
    page = list(venv.glob("lib/python3*/site-packages/brainrouter/edge/http/page_files/index.html"))
    assert len(page) == 1
    decide = "from brainrouter.config import load; from pathlib import Path; print(load(None, {}, Path('/none')).settings)"
    subprocess.run([str(venv / "bin" / "python"), "-c", decide], cwd=tmp_path, check=True)
