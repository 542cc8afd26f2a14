"""Install the pinned clients into the cache, each in a folder of its own that its version names: once, then never again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("BRAINROUTER_TEST_CACHE") or ROOT / ".cache") / "clients"
VERSIONS: dict[str, dict[str, str]] = json.loads(
    Path(__file__).with_name("versions.json").read_text(encoding="utf-8")
)
INSTALL_S = 900


@dataclass(frozen=True)
class Shelf:
    """A folder of installed packages, and which are pinned for it: by a name of ours, how each is got."""

    place: Path
    versions: Mapping[str, Mapping[str, str]]


CLIENTS = Shelf(CACHE, VERSIONS)


class NotInstallable(Exception):
    """Why a client cannot be had on this machine."""


class NoPython(NotInstallable):
    """It needs a newer Python than there is here; nothing is wrong with the client."""


def folder(name: str, shelf: Shelf = CLIENTS) -> Path:
    """Where the pinned version of a program lives."""
    package = next(iter(shelf.versions[name].values()))
    return shelf.place / f"{name}-{package.replace('==', '@').rsplit('@', 1)[1]}"


def version(name: str, shelf: Shelf = CLIENTS) -> str:
    """The pinned version alone."""
    return folder(name, shelf).name.removeprefix(f"{name}-")


def ensure(name: str, shelf: Shelf = CLIENTS) -> Path:
    """The program's folder, installed first when it is not there. Raises NotInstallable."""
    place = folder(name, shelf)
    wanted = shelf.versions[name]
    done = place / ".done"
    # The programs of a virtual environment name the folder they were made in: one that was moved is made anew.
    if not done.exists() or ("pypi" in wanted and done.read_text(encoding="utf-8") != str(place)):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        print(f"    installing {name} {version(name, shelf)}", file=sys.stderr, flush=True)
        if "npm" in wanted:
            _npm(place, wanted)
        elif "tarball" in wanted:
            _tarball(place, wanted["tarball"])
        else:
            _pypi(place, wanted)
        done.write_text(str(place), encoding="utf-8")
    return place


def _run(command: list[str], cwd: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except FileNotFoundError as error:
        raise NotInstallable(f"{command[0]} is not installed") from error
    if done.returncode:
        raise NotInstallable(f"{' '.join(command[:3])} failed: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


def _npm(place: Path, wanted: Mapping[str, str]) -> None:
    """`overrides` are versions that its own dependencies are held to, too."""
    overrides = dict(package.rsplit("@", 1) for package in wanted.get("overrides", "").split())
    about = json.dumps({"private": True, "overrides": overrides})
    (place / "package.json").write_text(about + "\n", encoding="utf-8")
    _run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", wanted["npm"]], place)


def _tarball(place: Path, package: str) -> None:
    """A bundle that runs from its tarball; its tree of siblings is not needed."""
    out: Any = json.loads(_run(["npm", "pack", "--json", "--loglevel=error", package], place))
    rows = out if isinstance(out, list) else list(out.values())
    with tarfile.open(place / rows[0]["filename"]) as archive:
        archive.extractall(place, filter="data")


def _pypi(place: Path, wanted: Mapping[str, str]) -> None:
    python = newer_python(wanted["python"])
    if python is None:
        raise NoPython(f"it needs Python {wanted['python']} or newer, and this machine has none")
    _run([python, "-m", "venv", str(place / "venv")], place)
    pip = [str(place / "venv/bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, wanted["pypi"]], place)


def newer_python(least: str) -> str | None:
    """A Python of at least that version: from PATH, else one that pyenv keeps."""
    minor = int(least.split(".")[1])
    kept = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [f"python3.{n}" for n in range(minor, minor + 4)] + ["python3"]
    candidates += [str(path) for path in sorted(kept.glob("3.*/bin/python3"))]
    check = f"import sys, venv, ensurepip; sys.exit(sys.version_info < (3, {minor}))"
    for candidate in candidates:
        try:
            done = subprocess.run([candidate, "-c", check], capture_output=True, timeout=30, check=False)
        except OSError:
            continue
        if done.returncode == 0:
            return candidate
    return None


def main() -> None:
    """Install everything that can be had; what cannot is said here and shown in the table."""
    for name in VERSIONS:
        try:
            ensure(name)
        except NotInstallable as error:
            print(f"    {name} CANNOT BE INSTALLED: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
