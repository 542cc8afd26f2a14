"""Review settings that were changed at run time: one small file of the user's, replaced in one step."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

_log = logging.getLogger("brainrouter.review")


class ReviewState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was changed. UNSET is what the configuration says."""

    forced_mode: Literal["auto", "cloud", "local"] | msgspec.UnsetType = msgspec.UNSET
    forced_model: str | msgspec.UnsetType | None = msgspec.UNSET
    max_iterations: int | msgspec.UnsetType = msgspec.UNSET


def state_file(env: Mapping[str, str]) -> Path:
    """`review_state.json` in the user's configuration folder; a relative XDG_CONFIG_HOME does not count."""
    base = Path(env.get("XDG_CONFIG_HOME") or "")
    if not base.is_absolute():
        base = Path(env.get("HOME") or "~").expanduser() / ".config"
    return base / "brainrouter" / "review_state.json"


def read_state(file: Path) -> ReviewState:
    """What the file says; nothing when it is not there or cannot be read, which is logged."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=ReviewState)
    except FileNotFoundError:
        return ReviewState()
    except (OSError, msgspec.DecodeError) as error:
        _log.warning("%s cannot be read and is left out: %s", file, error)
        return ReviewState()


def write_state(file: Path, state: ReviewState) -> None:
    """Replace the file; after a crash it holds the old state or the new one. Raises OSError."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    try:
        with open(number, "wb") as new:
            new.write(msgspec.json.format(msgspec.json.encode(state)) + b"\n")
            new.flush()
            os.fsync(new.fileno())
        os.replace(name, file)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
