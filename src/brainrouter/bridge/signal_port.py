"""Signal, by a signal-cli daemon: a thin port."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from brainrouter.bridge.access import SignalAccess
from brainrouter.bridge.grammar import Platform
from brainrouter.bridge.means import Board
from brainrouter.bridge.port import CannotStart, Message, NotSent
from brainrouter.bridge.signal_daemon import Spawned, command, spawned
from brainrouter.bridge.signal_envelope import Incoming, read
from brainrouter.bridge.signal_link import connect
from brainrouter.bridge.signal_rpc import AnswerLost, Link, LinkLost, RpcError
from brainrouter.bridge.signal_text import styled

PART_UNITS = 4000
OLD_S = 60.0
SEND_S = 120.0
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
MOST_PATIENCE_S = 60.0
LAST_WORDS_S = 3.0
NO_METHOD = -32601
SELF, GROUP = "self", "group:"
UNSURE = (
    "signal-cli ended while it was sending: it sends what it has read, but whether that worked is not known"
)

_log = logging.getLogger("brainrouter.bridge")


class SignalPort:
    """One account. `run` connects and stays connected; what is sent meanwhile waits for the connection."""

    platform: Platform = "signal"
    limit = PART_UNITS

    def __init__(
        self, account: str, access: SignalAccess, board: Board, env: Mapping[str, str],
        rpc: str | None, storage: str | None, *, spawn: bool,
    ) -> None:  # fmt: skip
        self._account = account
        self._access = access
        self._board = board
        self._env = env
        self._storage = storage
        self._spawn = spawn
        run_dir = Path(env.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
        own = run_dir / "brainrouter-signal-cli" / "socket"
        usual = str(own if spawn else run_dir / "signal-cli" / "socket")
        self._address = usual if spawn else os.path.expanduser(rpc) if rpc else usual
        self._started = time.time()
        self._link: Link | None = None
        self._linked = asyncio.Event()
        self._several = False
        self._distrusted: set[str] = set()

    async def run(self, receive: Callable[[Message], None], ready: Callable[[], None]) -> None:
        """Serve until cancelled. Raises CannotStart, and ConnectionError when a signal-cli of our own has ended."""

        def notified(params: Any) -> None:
            incoming = read(params, self._account)
            if incoming is not None:
                self._heard(incoming, receive)

        async with contextlib.AsyncExitStack() as stack:
            child: Spawned | None = None
            if self._spawn:
                place = Path(self._address)
                argv = command(self._account, self._storage, place)
                child = await stack.enter_async_context(spawned(argv, place, self._env))
            tries = 0
            while True:
                if child is not None:
                    child.check()
                lasted = await self._connection(notified, ready)
                tries = 0 if lasted else tries + 1
                await asyncio.sleep(PAUSES_S[min(tries, len(PAUSES_S) - 1)])

    async def send(self, channel: str, text: str) -> None:
        """Deliver one part, its fences as fixed-width text."""
        message, styles = styled(text)
        params: dict[str, Any] = {"message": message, **({"textStyle": styles} if styles else {})}
        await self._send(channel, params)

    async def send_file(self, channel: str, name: str, data: bytes, note: str) -> None:
        """Deliver a file with a line about it."""
        content = base64.b64encode(data).decode()
        await self._send(
            channel,
            {"message": note, "attachments": [f"data:text/markdown;filename={name};base64,{content}"]},
        )

    async def typing(self, channel: str) -> None:
        """Show the typing sign for some seconds. Best effort."""
        link = self._link
        if link is not None:
            with contextlib.suppress(RpcError, LinkLost, TimeoutError):
                await link.call("sendTyping", {**self._who(), **_to(channel)})

    def literal(self, text: str) -> str:
        """Signal knows no markup in a text."""
        return text

    async def _connection(self, notified: Callable[[Any], None], ready: Callable[[], None]) -> bool:
        """One connection, from its beginning to its end; whether it ever worked."""
        worked = False
        link: Link | None = None
        try:
            link = await connect(self._address)
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(link.listen(notified))
                try:
                    await self._greet(link)
                except LinkLost:
                    # What was said before the break may still lie there unread.
                    await asyncio.wait([listening], timeout=LAST_WORDS_S)
                    raise
                self._link, worked = link, True
                self._linked.set()
                self._board.says("connected", self._access.summary())
                ready()
                await listening
        except* (LinkLost, TimeoutError) as lost:
            if worked or not self._spawn:  # one of our own takes its time to start
                self._board.last_error = str(lost.exceptions[0])[:300] or "signal-cli does not answer"
        finally:
            if link is not None:
                link.close()
            self._link = None
            self._linked.clear()
        hint = "" if worked else self._hint()
        self._board.says("reconnecting", f"no connection to signal-cli at {self._address}{hint}")
        return worked

    def _hint(self) -> str:
        if self._spawn:
            return "; it takes some seconds to start"
        return f"; is `signal-cli -a {self._account} daemon --socket` running?"

    async def _greet(self, link: Link) -> None:
        try:
            rows = await link.call("listAccounts", {})
            self._several = True
        except RpcError as error:
            if error.code != NO_METHOD:
                raise CannotStart(f"signal-cli refuses: {error}") from error
            rows = None  # it serves one account only, and knows which
        if rows is not None and self._account not in [_number(row) for row in cast("list[Any]", rows)]:
            raise CannotStart(
                f"signal-cli has no account {self._account}: register or link it first, see docs/bridges.md"
            )
        with contextlib.suppress(RpcError):  # where messages are pushed without being asked for
            await link.call("subscribeReceive", self._who())

    def _heard(self, incoming: Incoming, receive: Callable[[Message], None]) -> None:
        if incoming.timestamp / 1000 < self._started - OLD_S:
            return
        if not self._access.admits(incoming.sender, incoming.group):
            return
        author = incoming.sender[0]
        if not self._distrusted.isdisjoint(incoming.sender):
            return
        direct = SELF if incoming.to_self else author
        channel = direct if incoming.group is None else GROUP + incoming.group
        receive(Message(f"{author}:{incoming.timestamp}", channel, author, incoming.text))

    async def _send(self, channel: str, params: dict[str, Any]) -> None:
        what = {**self._who(), **_to(channel), **params}
        try:
            async with asyncio.timeout(SEND_S):
                while (wait := self._judge(await self._call(what))) is not None:
                    await asyncio.sleep(wait)
        except TimeoutError:
            raise NotSent("signal-cli did not take it in time") from None

    async def _call(self, what: dict[str, Any]) -> Any:
        """The results of a send. When the connection breaks before signal-cli has read it: once more on the next one.

        What it had read is not sent again, since it carries that out: there are no results then.
        """
        while True:
            await self._linked.wait()
            link = self._link
            if link is None:
                continue
            try:
                return await link.call("send", what)
            except AnswerLost:
                self._board.last_error = UNSURE
                _log.warning("signal bridge: %s", UNSURE)
                return None
            except LinkLost:
                await asyncio.sleep(PAUSES_S[0])
            except RpcError as error:
                results = _field(_field(error.data, "response"), "results")
                if results is None:
                    raise NotSent(f"signal-cli refuses: {error}") from error
                return {"results": results}

    def _judge(self, result: Any) -> float | None:
        """None when somebody has it; else how long to wait before trying again. Raises NotSent."""
        rows = _field(result, "results")
        rows = cast("list[Any]", rows) if isinstance(rows, list) else []
        failures = [row for row in rows if _field(row, "type") not in (None, "SUCCESS")]
        for row in failures:
            if _field(row, "type") == "IDENTITY_FAILURE":
                self._distrust(_field(row, "recipientAddress"))
        if not failures or len(failures) < len(rows):
            return None
        patience = _field(failures[0], "retryAfterSeconds")
        if isinstance(patience, int | float) and 0 <= patience <= MOST_PATIENCE_S:
            return float(patience)
        if _field(failures[0], "type") == "IDENTITY_FAILURE":
            raise NotSent(self._distrust(_field(failures[0], "recipientAddress")))
        raise NotSent(f"Signal says {_field(failures[0], 'type')}")

    def _distrust(self, address: Any) -> str:
        """A safety number changed: maybe somebody else answers there now. Gives what the owner should know."""
        names = {str(name) for key in ("uuid", "number") if (name := _field(address, key))}
        self._distrusted |= names
        said = (
            f"the safety number of {', '.join(sorted(names))} changed; not answered until you have checked it, run "
            "`signal-cli trust -v`, and restarted brainrouter"
        )
        self._board.last_error = said
        return said

    def _who(self) -> dict[str, Any]:
        return {"account": self._account} if self._several else {}


def _to(channel: str) -> dict[str, Any]:
    if channel == SELF:
        return {"noteToSelf": True}
    if channel.startswith(GROUP):
        return {"groupId": channel.removeprefix(GROUP)}
    return {"recipient": [channel]}


def _number(row: Any) -> Any:
    return row if isinstance(row, str) else _field(row, "number")


def _field(tree: Any, name: str) -> Any:
    return cast("dict[str, Any]", tree).get(name) if isinstance(tree, dict) else None
