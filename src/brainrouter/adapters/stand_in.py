"""Run a harness here without writing to its files: by variables, or in a folder that stands in for its own."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from brainrouter.adapters import config_file
from brainrouter.harness.target import Env, Harness, Target


def run_harness(
    harness: Harness, target: Target, env: Mapping[str, str], program: str, arguments: Sequence[str]
) -> int:
    """Run it to its end and return its exit code. Raises Refused or CannotEdit before it starts."""
    runs = harness.runs
    with _folder(harness, target, env) as extra:
        variables = {**env, **runs.variables(target), **extra}
        try:
            return subprocess.run([program, *arguments], env=variables, check=False).returncode
        except KeyboardInterrupt:
            return 130


@contextmanager
def _folder(harness: Harness, target: Target, env: Env) -> Generator[dict[str, str]]:
    """A scratch folder with links to all that is in the harness' own, and edited copies of its configuration."""
    if harness.runs.variable is None:
        yield {}
        return
    own = Path(harness.folder(env))
    with tempfile.TemporaryDirectory(prefix="brainrouter-run-") as scratch:
        place = Path(scratch) / harness.runs.below if harness.runs.below else Path(scratch)
        place.mkdir(parents=True, exist_ok=True)
        documents = {Path(document.path).name: document for document in harness.documents(target, env)}
        for entry in own.iterdir() if own.is_dir() else ():
            if entry.name not in documents:
                (place / entry.name).symlink_to(entry)
        for name, document in documents.items():
            held = config_file.read(own / name, Path(env["HOME"]) if own.is_relative_to(env["HOME"]) else own)
            copy = place / name
            copy.touch(mode=0o600)
            copy.write_text(document.install(held.text or ""), encoding="utf-8")
        yield {harness.runs.variable: scratch}
