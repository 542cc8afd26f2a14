"""What `up` tells the person at the terminal: what is here, how far it is, and each decision as it is made."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from brainrouter import __version__
from brainrouter.adapters.listen import Listening
from brainrouter.config import Loaded
from brainrouter.edge.cli.terminal import Terminal
from brainrouter.wire.event import RoutingEvent
from brainrouter.wiring import Daemon

EVERY_S = 0.25
_MARKS = {
    "ready": "[green]●[/]", "healthy": "[green]●[/]", "loading": "[yellow]○[/]", "fetching": "[yellow]○[/]",
    "unknown": "[yellow]○[/]", "restarting": "[yellow]○[/]",
}  # fmt: skip
_COLOURS = {"local": "green", "cloud": "cyan"}


class _Bar:
    """One bar below the lines, for the step that is under way."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._label = ""
        self._furthest = 0.0

    def move(self, label: str, share: float) -> None:
        """Show how far `label` is. It never goes back."""
        if self._progress is None:
            columns = (TextColumn("  [yellow]○[/] {task.description}"), BarColumn(), TaskProgressColumn())
            self._progress = Progress(*columns, console=self._console, transient=True)
            self._progress.start()
        if label != self._label:
            for number in self._progress.task_ids:
                self._progress.remove_task(number)
            self._progress.add_task(escape(label), total=1.0)
            self._label, self._furthest = label, 0.0
        self._furthest = max(self._furthest, share)
        self._progress.update(self._progress.task_ids[0], completed=self._furthest)

    def done(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress, self._label = None, ""


class Show:
    """The terminal's view of a running daemon. Follows its state; changes nothing."""

    def __init__(self, daemon: Daemon, listening: Listening, loaded: Loaded) -> None:
        self._daemon = daemon
        self._listening = listening
        self._loaded = loaded
        self._console = Terminal(highlight=False, soft_wrap=True)
        self._bar = _Bar(self._console)
        self._said: dict[str, str] = {}

    def serving(self, *, interactive: bool) -> None:
        """The first lines: where we listen, which files count, what was found."""
        out, port = self._console, self._listening.port
        out.print(
            f"[bold]brainrouter {__version__}[/]  http://127.0.0.1:{port}/v1  ({escape(str(self._listening.path))})"
        )
        files = ", ".join(escape(str(file)) for file in self._loaded.files) or "none, all defaults"
        out.print(f"  configuration  {files}")
        self._parts()
        if interactive:
            self._daemon.live.listeners.append(self._events)

    async def follow(self) -> None:
        """Say each change of a part's state, until cancelled; a long step moves a bar where there is a terminal."""
        try:
            while True:
                await asyncio.sleep(EVERY_S)
                self._parts()
        finally:
            self._bar.done()

    def _parts(self) -> None:
        health = self._daemon.health()
        for name in ("cloud", "local", "classifier"):
            self._part(name, health[name], health["setup"])
        ready = health["local"].get("state") in ("ready", "healthy")
        if ready and not self._said.get("hint"):
            self._said["hint"] = "given"
            self._console.print(_hint(self._listening.port))

    def _part(self, name: str, part: dict[str, Any], setup: dict[str, Any]) -> None:
        share, state = part.get("progress"), part.get("state")
        if self._console.is_terminal and isinstance(share, float) and state not in ("ready", "healthy"):
            self._bar.move(str(part.get("detail")), share)
            return
        if name == "local":
            self._bar.done()
        line = _line(name, part, setup)
        waiting = state in ("stopped", "loading") and name not in self._said
        if self._said.get(name) != _coarse(line) and not waiting:
            self._said[name] = _coarse(line)
            self._console.print(line)

    def _events(self, events: list[RoutingEvent]) -> None:
        for event in events:
            self._event(event)

    def _event(self, event: RoutingEvent) -> None:
        side = event.side or event.decision or "-"
        colour = _COLOURS.get(side, "white")
        at = datetime.fromtimestamp(event.time).astimezone().strftime("%H:%M:%S")
        reason = f"fallback: {event.fallback}" if event.fallback else event.reason
        end = f"[red]{escape(event.error)}[/]" if event.error else f"{event.total_ms or 0:.0f} ms"
        self._console.print(
            f"  {at}  {escape(event.requested_model or '-')} → [{colour}]{side}[/] "
            f"({escape(reason)})  {escape(event.model or '-')}  {end}  [dim]{escape(event.prompt_excerpt[:60])}[/]"
        )


def _line(name: str, part: dict[str, Any], setup: dict[str, Any]) -> str:
    state = str(part.get("state"))
    mark = _MARKS.get(state, "[red]●[/]" if state in ("failed", "unreachable") else "[dim]○[/]")
    how = "" if setup.get(name) == state else setup.get(name, "")
    what = part.get("url") or part.get("model") or ""
    progress = part.get("progress")
    share = f" {progress:.0%}" if isinstance(progress, float) and state not in ("ready", "healthy") else ""
    detail = part.get("detail") or ""
    words = [str(how), str(what), state + share, str(detail)]
    return f"  {mark} {name:<12} " + "  ".join(escape(word) for word in words if word and word != "None")


def _coarse(line: str) -> str:
    """The line without its digits: a progress bar that moves by one per cent is no news in a log."""
    return "".join(char for char in line if not char.isdigit()) + _tens(line)


def _tens(line: str) -> str:
    before, mark, _ = line.partition("%")
    return before[-2:-1] if mark else ""


def _hint(port: int) -> str:
    url = f"http://127.0.0.1:{port}/v1"
    ask = '{"model":"auto","messages":[{"role":"user","content":"Say hello"}]}'
    return f"  try it: [bold]curl {url}/chat/completions -H 'content-type: application/json' -d '{escape(ask)}'[/]"
