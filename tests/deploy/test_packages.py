"""The wheel, away from the checkout: what it holds, and that it runs. With its real dependencies: machine/test_packages."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_wheel_runs_away_from_the_checkout_with_its_page_in_it(tmp_path: Path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=ROOT, check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "brainrouter/edge/http/page_files/index.html" in names
    assert not [
        name for name in names if name.split("/")[0] not in ("brainrouter",) and ".dist-info" not in name
    ]
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(venv / "bin" / "python"),
        "--disable-pip-version-check",
    ]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    # Its dependencies are those of the tests; the .pth of the checkout beside them is not followed from here.
    (place,) = venv.glob("lib/python3*/site-packages")
    (place / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    program = [str(venv / "bin" / "brainrouter"), "--version"]
    said = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said.startswith("brainrouter, version ")
    where = [str(venv / "bin" / "python"), "-c", "import brainrouter; print(brainrouter.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert Path(found.strip()).is_relative_to(venv)
