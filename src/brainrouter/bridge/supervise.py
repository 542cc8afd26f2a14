"""The bridges of one daemon: each on its own, started again after trouble, and never in the daemon's way."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from brainrouter.bridge.access import DiscordAccess, SignalAccess
from brainrouter.bridge.desk import Desk
from brainrouter.bridge.grammar import Platform
from brainrouter.bridge.house import House
from brainrouter.bridge.means import Board, Catalogue, Means
from brainrouter.bridge.omp import Omp, Tools
from brainrouter.bridge.port import CannotStart, Message, Port
from brainrouter.bridge.signal_port import SignalPort
from brainrouter.bridge.state import State, StateRefused
from brainrouter.bridge.workspace import Refused, Workspace
from brainrouter.wire.prompt_text import masked

AGAIN_S = (1.0, 5.0, 30.0, 120.0)
NO_LIBRARY = "discord.py is not installed: pip install 'brainrouter[discord]'"
NO_TOKEN = "bridge.discord.token is not set: give the bot's token"  # noqa: S105
NO_ACCOUNT = "bridge.signal.account is not set: give your number, as +15551234567"
_FINAL = (CannotStart, StateRefused, Refused)

_log = logging.getLogger("brainrouter.bridge")


@dataclass(frozen=True, kw_only=True)
class DiscordSetup:
    """`bridge.discord`, key by key. `refused` is why its token must not be used."""

    enabled: bool
    token: str | None = field(repr=False)
    prefix: str
    allowed_users: list[str]
    allowed_channels: list[str]
    may_write: list[str]
    answer_mentions: bool = False
    refused: str | None = None


@dataclass(frozen=True, kw_only=True)
class SignalSetup:
    """`bridge.signal`, key by key."""

    enabled: bool
    account: str | None
    group_id: str | None
    prefix: str
    storage_path: str | None
    llama_swap_url: str | None
    allowed_numbers: list[str]
    may_write: list[str]
    rpc: str | None
    spawn: bool


@dataclass(frozen=True, kw_only=True)
class BridgeSetup:
    """What both share: `bridge` without its sections."""

    omp_path: str
    work_dir: str | None
    timeout_secs: float
    default_model: str
    tools: Tools
    aliases: Mapping[str, str]


class _Running(Port, Protocol):
    async def run(self, receive: Callable[[Message], None], ready: Callable[[], None]) -> None: ...


class Bridges:
    """Off unless enabled. `run` goes on until it is cancelled and raises nothing else."""

    def __init__(
        self, setup: BridgeSetup, discord: DiscordSetup, signal: SignalSetup, env: Mapping[str, str]
    ) -> None:
        self._setup = setup
        self._discord = discord
        self._signal = signal
        self._env = env
        self._home = Path(env.get("HOME") or "~").expanduser()
        self._folder = self._home / ".local" / "share" / "omp-bridge"
        self.boards: dict[Platform, Board] = {"discord": Board(), "signal": Board()}
        self._states: dict[Platform, State] = {}

    def reports(self) -> dict[str, Callable[[], dict[str, Any]]]:
        """For each bridge that is enabled, how it is."""
        on: dict[Platform, bool] = {"discord": self._discord.enabled, "signal": self._signal.enabled}
        return {name: lambda name=name: self._report(name) for name, enabled in on.items() if enabled}

    async def run(self, base_url: str, socket_path: Path) -> None:
        """Run every enabled bridge against the daemon at `socket_path`; omp is told `base_url`."""
        async with asyncio.TaskGroup() as group:
            for name in self.reports():
                platform: Platform = "discord" if name == "discord" else "signal"
                group.create_task(self._keep_up(platform, base_url, socket_path))

    def _report(self, platform: Platform) -> dict[str, Any]:
        state = self._states.get(platform)
        return self.boards[platform].shown(len(state.sessions()) if state else 0)

    async def _keep_up(self, platform: Platform, base_url: str, socket_path: Path) -> None:
        board = self.boards[platform]
        tries = 0
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._once(platform, base_url, socket_path)
            except Exception as error:
                final = next((leaf for leaf in _leaves(error) if isinstance(leaf, _FINAL)), None)
                if final is not None:
                    board.says("failed", str(final))
                    board.last_error = str(final)
                    _log.error("%s bridge: %s", platform, final)
                    return
                first = next(_leaves(error))
                board.last_error = masked(f"{type(first).__name__}: {first}")[:300]
                board.says("reconnecting", "stopped by an error; starting again")
                _log.warning("%s bridge stopped, starting again", platform, exc_info=error)
            tries = 0 if asyncio.get_running_loop().time() - began > AGAIN_S[-1] else tries + 1
            await asyncio.sleep(AGAIN_S[min(tries, len(AGAIN_S)) - 1])

    async def _once(self, platform: Platform, base_url: str, socket_path: Path) -> None:
        board = self.boards[platform]
        port, prefix, may_write, list_url = await self._port(platform, board)
        omp = Omp(
            self._setup.omp_path,
            self._folder / f"{platform}-omp",
            base_url,
            self._env,
            self._setup.timeout_secs,
        )
        if (missing := omp.missing()) is not None:
            board.last_error = missing
            _log.warning("%s bridge: %s", platform, missing)
        workspace = await asyncio.to_thread(self._workspace)
        state = State(self._folder, platform)
        try:
            for name in await asyncio.to_thread(state.open):
                board.last_error = f"a state file was broken; it is kept as {name}, and the chats begin anew"
                _log.warning("%s bridge: %s", platform, board.last_error)
            self._states[platform] = state
            house = House(socket_path, list_url)
            means = Means(
                port, state, workspace, omp, house, Catalogue(house), prefix, self._setup.default_model,
                self._setup.aliases, lambda author: "write" if author in may_write else self._setup.tools, board,
            )  # fmt: skip
            await _serve(port, means)
        finally:
            state.close()
            workspace.close()

    async def _port(
        self, platform: Platform, board: Board
    ) -> tuple[_Running, str, frozenset[str], str | None]:
        if platform == "signal":
            wanted = self._signal
            if not wanted.account:
                raise CannotStart(NO_ACCOUNT)
            reach = SignalAccess(frozenset(wanted.allowed_numbers), wanted.group_id)
            if (missing := reach.missing()) is not None:
                raise CannotStart(missing)
            port = SignalPort(
                wanted.account, reach, board, self._env, wanted.rpc, wanted.storage_path, spawn=wanted.spawn
            )
            return port, wanted.prefix, frozenset(wanted.may_write), wanted.llama_swap_url
        chosen = self._discord
        if chosen.refused:
            raise CannotStart(chosen.refused)
        if not chosen.token:
            raise CannotStart(NO_TOKEN)
        try:
            # A third of a second of imports: not on the loop that serves requests.
            module = await asyncio.to_thread(importlib.import_module, "brainrouter.bridge.discord_port")
        except ModuleNotFoundError:
            raise CannotStart(NO_LIBRARY) from None
        access = DiscordAccess(
            frozenset(chosen.allowed_users), frozenset(chosen.allowed_channels), chosen.answer_mentions
        )
        if (missing := access.missing()) is not None:
            raise CannotStart(missing)
        return (
            module.DiscordPort(chosen.token, access, board),
            chosen.prefix,
            frozenset(chosen.may_write),
            None,
        )

    def _workspace(self) -> Workspace:
        if self._setup.work_dir is not None:
            return Workspace(Path(self._setup.work_dir).expanduser())
        usual = self._home / "projects"
        usual.mkdir(mode=0o700, exist_ok=True)
        return Workspace(usual)


async def _serve(port: _Running, means: Means) -> None:
    async with asyncio.TaskGroup() as group:
        desk = Desk(means, group)
        told = False

        def ready() -> None:
            nonlocal told
            if not told:
                told = True
                group.create_task(desk.tell_interrupted())

        await port.run(desk.receive, ready)
        msg = "the connection ended by itself"
        raise ConnectionError(msg)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(inner)
    else:
        yield error
