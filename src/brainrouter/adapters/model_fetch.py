"""The embedded model's file without blocking the event loop: fetched and made in a child process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from brainrouter.adapters.child_process import end_group, how_it_ended
from brainrouter.adapters.model_file import ModelUnavailable, Progress, embedded_model_path, is_complete


async def fetched_model(cache: Path, progress: Progress) -> Path:
    """Like `embedded_model`, off the event loop. Cancelled, it ends the child. Raises ModelUnavailable, OSError."""
    if is_complete(cache):
        return embedded_model_path(cache)
    # -P: nothing is imported from the folder that the daemon was started in.
    program = [sys.executable, "-P", "-m", "brainrouter.adapters.model_file"]
    child = await asyncio.create_subprocess_exec(
        *program,
        str(cache),
        str(os.getpid()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout is not None
    last: dict[str, Any] = {}
    try:
        async for line in child.stdout:
            with contextlib.suppress(ValueError):
                last = json.loads(line)
            if "label" in last:
                progress(str(last["label"]), last.get("share"))
        await child.wait()
    finally:
        await end_group(child)
    if "path" in last:
        return Path(str(last["path"]))
    reason = last.get("reason", f"fetching the model ended with {how_it_ended(child.returncode)}")
    raise ModelUnavailable(str(reason), str(last.get("mend", "start again")))
