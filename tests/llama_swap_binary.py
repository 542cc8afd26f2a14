"""The real llama-swap, for the checks that want it and nothing less (tests/adapters/real_llama_swap.py)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def llama_swap_binary() -> Path:
    """$BRAINROUTER_LLAMA_SWAP, else llama-swap on the PATH. Raises FileNotFoundError: these checks are never skipped."""
    found = os.environ.get("BRAINROUTER_LLAMA_SWAP") or shutil.which("llama-swap")
    if not found or not os.access(found, os.X_OK):
        raise FileNotFoundError(
            "no llama-swap: install one from its releases, or name it in BRAINROUTER_LLAMA_SWAP"
        )
    return Path(found)
