"""Discord, by discord.py: a thin port. Importing this module needs the extra `discord`."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import warnings
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TypeVar

from brainrouter.bridge.access import DiscordAccess
from brainrouter.bridge.grammar import Platform
from brainrouter.bridge.means import Board
from brainrouter.bridge.port import CannotStart, Message, NotSent

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # audioop, which we never use
    import discord

T = TypeVar("T")

PART_UNITS = 1500
OLD = timedelta(seconds=60)
SEND_S = 120.0
AGAIN_S = 1.0
NO_TEXT = "messages come without text: tick MESSAGE CONTENT INTENT on the bot's page in the developer portal"
NO_INTENT = (
    "Discord refuses the intents: on the bot's page in the developer portal, tick MESSAGE CONTENT INTENT "
    "(PRESENCE and SERVER MEMBERS are not needed)"
)
BAD_TOKEN = "Discord refuses the token: copy it anew from the bot's page to bridge.discord.token"  # noqa: S105
_MARKUP = re.compile(r"([\\*_~`|<>#\[\]()\-])")

_log = logging.getLogger("brainrouter.bridge")


class DiscordPort:
    """One bot. `run` connects and stays connected; `send` and the others work while it does."""

    platform: Platform = "discord"
    limit = PART_UNITS

    def __init__(self, token: str, access: DiscordAccess, board: Board) -> None:
        self._token = token.strip().removeprefix("Bot ").strip()
        self._access = access
        self._board = board
        self._started = datetime.now(UTC)
        self._receive: Callable[[Message], None] = lambda message: None
        self._ready: Callable[[], None] = lambda: None
        logging.getLogger("discord").setLevel(logging.WARNING)
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = (
            False  # no voice here, and no word about it
        )
        self._client = _Client(self)

    async def run(self, receive: Callable[[Message], None], ready: Callable[[], None]) -> None:
        """Serve until cancelled. `ready` is called at the first connection. Raises CannotStart."""
        self._receive, self._ready = receive, ready
        try:
            async with self._client:
                await self._client.start(self._token)
        except discord.LoginFailure:
            raise CannotStart(BAD_TOKEN) from None
        except discord.PrivilegedIntentsRequired:
            raise CannotStart(NO_INTENT) from None
        except discord.ConnectionClosed as error:
            if error.code == 4004:
                raise CannotStart(BAD_TOKEN) from None
            if error.code in (4013, 4014):
                raise CannotStart(NO_INTENT) from None
            raise

    async def send(self, channel: str, text: str) -> None:
        """Deliver one part. Nobody is mentioned, no link is unfolded; Discord drops a repetition by its nonce."""
        nonce = secrets.token_hex(10)
        await self._deliver(
            lambda: self._channel(channel).send(
                text, nonce=nonce, suppress_embeds=True, allowed_mentions=_NOBODY
            )
        )

    async def send_file(self, channel: str, name: str, data: bytes, note: str) -> None:
        """Deliver a file with a line about it."""
        nonce = secrets.token_hex(10)
        await self._deliver(
            lambda: self._channel(channel).send(
                note, file=discord.File(BytesIO(data), filename=name), nonce=nonce, allowed_mentions=_NOBODY
            )
        )

    async def typing(self, channel: str) -> None:
        """Show the typing sign for about ten seconds. Best effort."""
        try:
            await self._once(self._channel(channel).typing().__aenter__())
        except NotSent as error:
            _log.debug("discord bridge: typing: %s", error)

    def literal(self, text: str) -> str:
        """`text` with Discord's markup escaped."""
        return _MARKUP.sub(r"\\\1", text).replace("@", "@\N{ZERO WIDTH SPACE}")

    def connected(self) -> None:
        """Told by the client at each connection, new or taken up."""
        self._board.says("connected", self._access.summary())
        self._ready()

    def disconnected(self) -> None:
        """Told by the client when the connection is lost; it comes back by itself."""
        self._board.says("reconnecting", "the connection to Discord is lost; trying again")

    def heard(self, message: discord.Message) -> None:
        """Told by the client of every message it can see."""
        if message.author.bot or message.webhook_id is not None or message.created_at < self._started - OLD:
            return
        if message.type not in (discord.MessageType.default, discord.MessageType.reply):
            return
        parent = getattr(message.channel, "parent_id", None)
        channel, user = str(message.channel.id), str(message.author.id)
        direct = message.guild is None
        text, named = self._without_name(message)
        parent = None if parent is None else str(parent)
        if not self._access.admits(user, channel, parent, direct=direct, named=named):
            return
        if not message.content and not direct and not message.attachments and not message.stickers:
            self._board.last_error = NO_TEXT
            _log.warning("discord bridge: %s", NO_TEXT)
            return
        self._receive(Message(str(message.id), channel, user, text))

    def _without_name(self, message: discord.Message) -> tuple[str, bool]:
        """The text without the bot's own name in it, and whether it was there."""
        me = self._client.user
        if me is None or me.id not in message.raw_mentions:
            return message.content, False
        return re.sub(rf"<@!?{me.id}>[ \t]*", "", message.content).strip(), True

    def _channel(self, channel: str) -> discord.PartialMessageable:
        return self._client.get_partial_messageable(int(channel))

    async def _deliver(self, call: Callable[[], Awaitable[object]]) -> None:
        """Again and again while Discord is overloaded or away. Raises NotSent."""
        until = asyncio.get_running_loop().time() + SEND_S
        while True:
            try:
                await self._once(call())
                return
            except _Busy as error:
                if asyncio.get_running_loop().time() > until:
                    raise NotSent(str(error)) from error
                await asyncio.sleep(AGAIN_S)

    async def _once(self, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(SEND_S):
                return await call
        except discord.Forbidden as error:
            raise NotSent(f"the bot may not write in that channel (error {error.code})") from error
        except discord.NotFound as error:
            raise NotSent(f"that channel is gone (error {error.code})") from error
        except (discord.DiscordException, OSError, TimeoutError) as error:
            status = error.status if isinstance(error, discord.HTTPException) else None
            busy = status == 429 or (status or 0) >= 500 or isinstance(error, OSError)
            kind = _Busy if busy else NotSent
            raise kind(f"Discord did not take it: {type(error).__name__}") from error


class _Busy(NotSent):
    """It would help to try again."""


_NOBODY = discord.AllowedMentions.none()


class _Client(discord.Client):
    """discord.py calls these by their names."""

    def __init__(self, port: DiscordPort) -> None:
        intents = discord.Intents.none()
        intents.guilds = intents.guild_messages = intents.dm_messages = intents.message_content = True
        super().__init__(
            intents=intents,
            allowed_mentions=_NOBODY,
            max_messages=None,
            chunk_guilds_at_startup=False,
            member_cache_flags=discord.MemberCacheFlags.none(),
            max_ratelimit_timeout=60.0,
            guild_ready_timeout=0.2,
        )
        self._port = port

    async def on_ready(self) -> None:
        self._port.connected()

    async def on_resumed(self) -> None:
        self._port.connected()

    async def on_disconnect(self) -> None:
        self._port.disconnected()

    async def on_message(self, message: discord.Message) -> None:
        self._port.heard(message)
