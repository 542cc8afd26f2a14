"""A bridge between a fake platform, a stand-in for omp and the real daemon. Both platforms are driven in the same way."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any, Self

from brainrouter.bridge.supervise import Bridges, BridgeSetup, DiscordSetup, SignalSetup
from tests.daemon import Daemon, eventually
from tests.sim.discord import CHANNEL, TOKEN, Discord, pointed_at
from tests.sim.loop_thread import LoopThread
from tests.sim.signal import ACCOUNT, Signal, uuid_of

SIM = Path(__file__).resolve().parents[1] / "sim"
GROUP = "Z3JvdXAvaWQrLz09"
PLATFORMS = ("discord", "signal")
STRANGER = {"discord": "6666", "signal": "+15556666666"}
PEOPLE = 4000


def people(platform: str) -> list[str]:
    """Who may write: one owner for each test, so that no test sees another's conversation."""
    first = 1000 if platform == "discord" else 15_550_010_000
    sign = "" if platform == "discord" else "+"
    return [f"{sign}{first + number}" for number in range(PEOPLE)]


class Rig:
    """A context manager: the platform, a scratch home, and the bridge running. `stop` and `start` restart the bridge."""

    def __init__(
        self, platform: str, daemon: Daemon, *, over_http: bool = False, several: bool = True, **more: Any
    ) -> None:
        self.platform = platform
        self.daemon = daemon
        heartbeat = {"heartbeat_ms": more["heartbeat_ms"]} if "heartbeat_ms" in more else {}
        self.home = Path(tempfile.mkdtemp(prefix="br-"))
        # Not the stack's alone: some rigs are never entered.
        self._remove = weakref.finalize(self, shutil.rmtree, self.home, ignore_errors=True)
        self.work = self.home / "work"
        self.work.mkdir()
        self.data = self.home / "data"
        self.data.mkdir()
        self.state = self.home / ".local" / "share" / "omp-bridge"
        self.discord = Discord(**heartbeat) if platform == "discord" else None
        self.signal = (
            Signal(self.home / "signal.sock", over_http=over_http, several=several)
            if platform == "signal"
            else None
        )
        self.more = more
        self.turn = 0
        self.crowd = people(platform)
        self.owner = self.crowd[0]
        self.bridges: Bridges
        self._stack = contextlib.ExitStack()
        self._loop: LoopThread | None = None
        self._task: asyncio.Task[None]

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(self._remove)
            if self.discord is not None:
                stack.enter_context(self.discord)
                stack.enter_context(pointed_at(self.discord.port))
            if self.signal is not None:
                stack.enter_context(self.signal)
            stack.callback(self.stop)
            self.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, *, wait: bool = True) -> None:
        """Start the bridge, and wait until it is connected."""
        self.bridges = self._build()
        self._loop = LoopThread().__enter__()
        self._task = self._loop.run(self._run())
        if wait:
            self.until_state("connected")

    def stop(self) -> None:
        """End the bridge; everything it started must be gone."""
        if self._loop is not None:
            self._loop.run(self._end())
            self._loop.__exit__()
            self._loop = None

    async def _run(self) -> asyncio.Task[None]:
        return asyncio.create_task(self.bridges.run(self.daemon.base_url, self.daemon.socket_path))

    async def _end(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        assert self._task.cancelled() or self._task.exception() is None

    def status(self) -> dict[str, Any]:
        return self.bridges.reports()[self.platform]()

    def until_state(self, state: str) -> dict[str, Any]:
        eventually(lambda: self.status()["state"] == state, 20.0, f"{state}: {self.status()}")
        return self.status()

    # The platform.

    def fresh(self) -> None:
        """For the next test: somebody new writes, and nothing is left of what was."""
        self.turn += 1
        for board in self.bridges.boards.values():
            board.last_error = None
        self.owner = self.crowd[self.turn]
        self.forget_sent()
        if self.signal:
            self.signal.faults.clear()
        for left in self.data.iterdir():
            left.unlink()
        for made in self.work.iterdir():
            shutil.rmtree(made)

    def forget_sent(self) -> None:
        """What was sent and shown so far does not count any more."""
        for kept in (self.discord.sent, self.discord.typed) if self.discord else ():
            kept.clear()
        for kept in (self.signal.sent, self.signal.typed) if self.signal else ():
            kept.clear()

    @property
    def place(self) -> str:
        """Where the owner is talked to directly."""
        return f"5{self.owner}" if self.discord else uuid_of(self.owner) or self.owner

    @property
    def elsewhere(self) -> str:
        """Another place where the owner is answered."""
        return CHANNEL if self.discord else GROUP

    def say(self, text: str, *, by: str = "", place: str = "", id: str | None = None) -> str:
        """The owner (or whoever `by` is) writes; gives the message's id."""
        if self.discord is not None:
            return self.discord.says(text, user=by or self.owner, channel=place or self.place, id=id)
        assert self.signal is not None
        at = int(id) if id else None
        return str(self.signal.says(text, user=by or self.owner, group=place or None, timestamp=at))

    def all_sent(self) -> list[tuple[str, str]]:
        """Every text that was sent to the owner or to the other place, with where it went."""
        mine = {self.place, self.elsewhere, "self"}
        return [(place, text) for place, text in self.everything_sent() if place in mine]

    def everything_sent(self) -> list[tuple[str, str]]:
        """Every text that was sent to anybody, with where it went."""
        if self.discord is not None:
            return [(sent.channel, sent.text) for sent in list(self.discord.sent)]
        assert self.signal is not None
        return [
            (
                sent.get("groupId") or ("self" if sent.get("noteToSelf") else sent["recipient"][0]),
                sent["message"],
            )
            for sent in list(self.signal.sent)
        ]

    def texts(self) -> list[str]:
        return [text for _, text in self.all_sent()]

    def hears(self, count: int, within_s: float = 15.0) -> list[str]:
        """The texts, once there are that many."""
        eventually(
            lambda: len(self.texts()) >= count, within_s, f"{count} messages, {self.texts()}, {self.status()}"
        )
        return self.texts()

    def ask(self, text: str, **more: Any) -> str:
        """Say something and give the next text that is sent."""
        before = len(self.texts())
        self.say(text, **more)
        return self.hears(before + 1)[before]

    def settle(self) -> None:
        """Until everything that was said before was dealt with: a ping comes back."""
        before = self.texts().count("pong")
        self.say("!br ping")
        eventually(lambda: self.texts().count("pong") > before, 15.0, f"pong: {self.texts()}")

    @property
    def typed(self) -> list[str]:
        """Where it was shown that an answer is being written."""
        rows = self.discord.typed if self.discord else self.signal.typed if self.signal else []
        return [str(where) for where in rows if self.place in str(where)]

    def break_connection(self) -> None:
        """The platform's side closes the connection and takes a new one."""
        if self.discord is not None:
            self.discord.close(4000)
        if self.signal is not None:
            self.signal.drop()

    # omp.

    def runs(self) -> list[dict[str, Any]]:
        """How omp was started, each time."""
        file = self.data / "omp-runs.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def until_runs(self, count: int) -> list[dict[str, Any]]:
        eventually(lambda: len(self.runs()) >= count, 15.0, f"{count} runs: {self.runs()}, {self.texts()}")
        return self.runs()

    def release(self, name: str) -> None:
        """Let `wait NAME` go on."""
        (self.data / name).touch()

    def _build(self) -> Bridges:
        env = {
            "HOME": str(self.home), "PATH": f"{self.more.get('path', SIM)}:{os.environ['PATH']}", "XDG_DATA_HOME": str(self.data),
            "XDG_RUNTIME_DIR": str(self.home), "LANG": "C.UTF-8", "SECRET_KEY": "canary-env", "DISCORD_TOKEN": TOKEN,
            **self.more.get("env", {}),
        }  # fmt: skip
        shared: dict[str, Any] = {
            "omp_path": "omp", "work_dir": str(self.work), "timeout_secs": 30.0, "default_model": "brainrouter/auto",
            "tools": "read", "aliases": {"small": "gemma-small"},
        }  # fmt: skip
        setup = BridgeSetup(**{key: self.more.get(key, value) for key, value in shared.items()})
        on = self.platform == "discord"
        allowed = self.more.get("people", self.crowd)
        writers = allowed[-1:]
        discord = DiscordSetup(
            enabled=on, token=self.more.get("token", f"Bot {TOKEN}"), prefix="!", may_write=writers,
            allowed_users=allowed, allowed_channels=[CHANNEL], answer_mentions=self.more.get("answer_mentions", False),
        )  # fmt: skip
        signal = SignalSetup(
            enabled=not on, account=self.more.get("account", ACCOUNT), group_id=self.more.get("group", GROUP), prefix="!", storage_path=None,
            llama_swap_url=self.more.get("llama_swap_url"), allowed_numbers=[*allowed, *self.more.get("also", [])],
            may_write=writers, rpc=self.more.get("rpc", self.signal.address if self.signal else None),
            spawn=self.more.get("spawn", False),
        )  # fmt: skip
        return Bridges(setup, discord, signal, env)
