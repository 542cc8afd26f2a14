"""The user's own lean prompt, from the file that llama_swap.local_system_prompt names."""

from __future__ import annotations

import logging
from pathlib import Path

_log = logging.getLogger("brainrouter")


class LeanFile:
    """Read once at start; a file that cannot be read is said and not used."""

    def __init__(self, path: str | None) -> None:
        self._text: str | None = None
        if path is None:
            return
        try:
            self._text = Path(path).expanduser().read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError) as error:
            _log.warning(
                "llama_swap.local_system_prompt cannot be read (%s); the built-in prompt is used", error
            )

    def text(self) -> str | None:
        """The prompt, or None where the built-in one is used."""
        return self._text
