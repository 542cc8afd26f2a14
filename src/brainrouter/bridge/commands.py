"""Our verbs: each gives the text to answer with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from brainrouter.bridge.grammar import MODES, Command, help_text, looks_like_model
from brainrouter.bridge.house import Unanswered
from brainrouter.bridge.means import Means
from brainrouter.bridge.models import PREFIX, usable
from brainrouter.bridge.workspace import Entry, Refused, shown


@dataclass(frozen=True, slots=True)
class Running:
    """What a conversation does now: how long already, with which step, and how many questions wait."""

    since: float | None
    doing: str
    waiting: int


class Commands:
    """The verbs for one channel. `running` tells what the conversation does; `forget` stops it and forgets it."""

    def __init__(
        self, means: Means, channel: str, running: Callable[[], Running], forget: Callable[[], Awaitable[int]]
    ) -> None:
        self._means = means
        self._channel = channel
        self._running = running
        self._forget = forget

    async def run(self, command: Command) -> str:
        """Carry a command out and say how it went. What was refused is said, too."""
        verbs: dict[str, Callable[[str], Awaitable[str]]] = {
            "ping": self._ping, "status": self._status, "reset": self._reset, "choose": self.choose,
            "list": self._list, "model": self._model, "ls": self._ls, "cd": self._cd, "mkdir": self._mkdir,
            "review": self._review, "help": self._help,
        }  # fmt: skip
        try:
            return await verbs[command.verb](command.argument)
        except (Refused, Unanswered) as error:
            return self._means.port.literal(str(error))
        except OSError as error:
            self._means.board.last_error = f"{command.verb}: {error.strerror or error}"
            return self._literal(f"that did not work: {error.strerror or error}")

    async def choose(self, name: str) -> str:
        """Keep a model for this channel."""
        model, problem = await self.resolve(name)
        if model is None:
            return problem
        await self._means.state.set_model(self._channel, PREFIX + model)
        where = "decided for each question" if model == "auto" else model
        return f"This channel now asks: {self._literal(where)}"

    async def resolve(self, name: str) -> tuple[str | None, str]:
        """The daemon's model for a name, or None and what to say."""
        if name in MODES:
            return name, ""
        if not usable(name):
            return None, "That is not a model's name."
        try:
            found = await self._means.find(name)
        except Unanswered as error:
            return None, self._literal(f"I cannot look that model up: {error}")
        if found.model is not None:
            return found.model, ""
        hint = f" Did you mean {self._literal(found.near)}?" if found.near else ""
        return None, f"There is no model {self._literal(name)}.{hint} `{self._means.word} list` shows all."

    async def _ping(self, _: str) -> str:
        return "pong"

    async def _help(self, _: str) -> str:
        return help_text(self._means.prefix, self._means.port.platform)

    async def _reset(self, _: str) -> str:
        dropped = await self._forget()
        return "Forgotten." + (f" {dropped} unanswered." if dropped else "")

    async def _status(self, _: str) -> str:
        means, running = self._means, self._running()
        now = time.time()
        session = means.state.sessions().get(self._channel)
        try:
            health = await means.house.health()
            parts = [f"{side} {health.get(side, {}).get('state', 'unknown')}" for side in ("cloud", "local")]
            daemon = ", ".join(parts)
        except Unanswered as error:
            daemon = str(error)
        if running.since is None:
            doing = "nothing"
        else:
            doing = f"{running.doing}, for {_span(time.monotonic() - running.since)}"
        rows = {
            "model": means.model(self._channel),
            "folder": "/" + shown(means.state.folder(self._channel)),
            "session": f"for {_span(now - session.created)}" if session and session.session else "new",
            "running": doing,
            "waiting": str(running.waiting),
            "daemon": daemon,
        }
        return "\n".join(f"{name}: {self._literal(value)}" for name, value in rows.items())

    async def _list(self, _: str) -> str:
        current = self._means.model(self._channel)
        lines = [
            f"- {self._literal(name)}{' (now)' * (name == current)}"
            for name in await self._means.catalogue.models()
        ]
        lines += [
            f"- {self._literal(alias)} = {self._literal(model)}"
            for alias, model in sorted(self._means.aliases.items())
        ]
        return "\n".join(lines)

    async def _model(self, name: str) -> str:
        if not name:
            return await self._list("")
        word = self._means.word
        keep = f" `{word} {name}` keeps this one." if looks_like_model(name) or name in MODES else ""
        return f"`{word} model NAME QUESTION` asks a model once.{keep}"

    async def _ls(self, _: str) -> str:
        here = self._folder()
        listing = await asyncio.to_thread(self._means.workspace.listing, here)
        lines = [f"/{self._literal(shown(here))}", *(f"- {self._row(entry)}" for entry in listing.entries)]
        if not listing.entries:
            lines.append("nothing to show")
        if listing.more:
            lines.append(f"and {listing.more} more")
        return "\n".join(lines)

    async def _cd(self, to: str) -> str:
        folder = await asyncio.to_thread(self._means.workspace.moved, self._folder() if to else "", to)
        await self._means.state.set_folder(self._channel, folder)
        return f"Now in /{self._literal(shown(folder))}"

    async def _mkdir(self, name: str) -> str:
        made = await asyncio.to_thread(self._means.workspace.make, self._folder(), name)
        return f"Made /{self._literal(shown(made))}"

    async def _review(self, mode: str) -> str:
        house = self._means.house
        found = await (house.set_review(mode) if mode else house.review())
        model = found.get("forced_model")
        with_model = (
            f", with {self._literal(str(model))}" if model and found.get("forced_mode") == "local" else ""
        )
        return f"Reviews: {self._literal(str(found.get('forced_mode', 'unknown')))}{with_model}"

    def _folder(self) -> str:
        return self._means.state.folder(self._channel)

    def _row(self, entry: Entry) -> str:
        name = self._literal(shown(entry.name))
        if entry.folder:
            return f"{name}/"
        if entry.link:
            return f"{name} (link)"
        return f"{name} ({_size(entry.size)})"

    def _literal(self, text: str) -> str:
        return self._means.port.literal(text)


def _span(seconds: float) -> str:
    whole = int(max(0.0, seconds))
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if whole >= 2 * unit:
            return f"{whole // unit} {name}"
    return f"{whole} s"


def _size(size: int | None) -> str:
    if size is None:
        return "size unknown"
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
