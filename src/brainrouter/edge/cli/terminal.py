"""The console that every command writes to: colours are ours alone."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from brainrouter.wire.plain_text import plain


class Terminal(Console):
    """Rich passes escape sequences in what it prints on to the terminal; names, prompts and errors are of others."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(plain(text), **options)
