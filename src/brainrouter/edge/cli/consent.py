"""What a set-up command shows before it writes: each file with its coloured difference, then the question."""

from __future__ import annotations

import difflib
import os
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from brainrouter.flows.set_up import Change, Plan
from brainrouter.wire.plain_text import plain

# What stands beside our lines may be a key of the user's, and a terminal may be shown to others.
_SECRET = re.compile(r"""((?:key|token|secret|password)\w*["']?\s*[:=]\s*["']?)[^"'\s,]{6,}""", re.IGNORECASE)


def home_relative(path: Path | str) -> str:
    """A path as its owner knows it."""
    home = os.environ.get("HOME", "")
    text = str(path)
    return f"~{text[len(home) :]}" if home and text.startswith(home.rstrip("/") + "/") else text


def show_plan(console: Console, plan: Plan) -> None:
    """Every file that would change, and how."""
    for change in plan.needed:
        console.print(_heading(change))
        console.print(_difference(change))


def agreed(console: Console, *, yes: bool) -> bool:
    """Ask; `yes` has answered already. Without a terminal the answer is no."""
    if yes:
        return True
    if not sys.stdin.isatty():
        console.print(
            "Nothing was written: there is no terminal to ask on. Say [bold]--yes[/] to agree beforehand."
        )
        return False
    try:
        return console.input("Write this? [bold]\\[y/N][/] ").strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        console.print()
        return False


def _heading(change: Change) -> str:
    what = "new" if change.held.text is None else "removed" if change.after is None else "changed"
    link = (
        ""
        if change.held.path == change.held.real
        else f" [dim](a link to {escape(str(change.held.real))})[/]"
    )
    return f"\n[bold]{escape(home_relative(change.held.path))}[/] [dim]{what}[/]{link}"


def _difference(change: Change) -> Text:
    before, after = (change.held.text or "").splitlines(), (change.after or "").splitlines()
    text = Text()
    for line in list(difflib.unified_diff(before, after, lineterm="", n=2))[2:]:
        if line.startswith("@@"):
            if len(text):
                text.append("  ⋮\n", "dim")
            continue
        style = {"+": "green", "-": "red"}.get(line[:1], "dim")
        words = plain(line[1:] if line.startswith("+") else _SECRET.sub(r"\1•••", line[1:]))
        text.append(f"  {line[:1]} {words}\n", style)
    text.rstrip()
    return text
