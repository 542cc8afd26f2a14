"""Discord's REST interface and gateway, as far as a bot that chats needs them: one server, one text channel, threads, DMs.

Point discord.py at it with `pointed_at`; everything else it does by itself.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import yarl
from aiohttp import WSMsgType, web

from tests.sim.loop_thread import LoopThread

TOKEN = "MTA5.canary.token-that-must-not-show"
# Any other channel is a direct one.
BOT, GUILD, CHANNEL, THREAD, OTHER_CHANNEL = "900000000000000100", "200", "300", "301", "399"
EPOCH_MS = 1_420_070_400_000
_count = itertools.count()


def snowflake(age_s: float = 0.0) -> str:
    """An id as Discord makes them: its time is in it."""
    return str((int((time.time() - age_s) * 1000) - EPOCH_MS) << 22 | next(_count) % (1 << 22))


@dataclass
class Sent:
    """One message that the bot sent."""

    channel: str
    text: str
    fields: dict[str, Any]
    files: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])


class Discord:
    """Runs on a thread of its own; its methods may be called from any other."""

    def __init__(self, heartbeat_ms: int = 41_250) -> None:
        self._thread = LoopThread()
        self._heartbeat_ms = heartbeat_ms
        self._socket: web.WebSocketResponse | None = None
        # What a connection that resumes is told again; Discord forgets, too.
        self._log: deque[dict[str, Any]] = deque(maxlen=2000)
        self._count = 0
        self._nonces: dict[str, str] = {}
        self.sent: list[Sent] = []
        self.typed: list[str] = []
        self.identified: list[dict[str, Any]] = []
        self.resumed = 0
        self.faults: deque[tuple[int, dict[str, Any]]] = deque()
        self.refuse_identify: int | None = None
        self.acks = True
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.__enter__()
        self._thread.run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.run(self._runner.cleanup())
        self._thread.__exit__()

    async def _open(self) -> None:
        app = web.Application(client_max_size=16 << 20)
        app.router.add_get("/gateway/", self._gateway)
        app.router.add_get("/gateway", self._gateway)
        app.router.add_get("/api/v10/users/@me", self._me)
        app.router.add_get("/api/v10/oauth2/applications/@me", self._application)
        app.router.add_post("/api/v10/channels/{channel}/messages", self._message)
        app.router.add_post("/api/v10/channels/{channel}/typing", self._typing)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    # What tests do.

    def says(
        self, text: str, *, user: str, channel: str = CHANNEL, id: str | None = None, **more: Any
    ) -> str:
        """Somebody writes; gives the message's id."""
        event = message_event(text, user=user, channel=channel, id=id or snowflake(), **more)
        self._thread.run(self._dispatch("MESSAGE_CREATE", event))
        return event["id"]

    def close(self, code: int = 4000) -> None:
        """Close the gateway's connection; what is said meanwhile is kept for the one that resumes."""
        self._thread.run(self._close(code))

    def frame(self, op: int, d: Any = None) -> None:
        """Send one frame as it is: 7 asks to reconnect, 9 declares the session invalid."""
        self._thread.run(self._frame(op, d))

    # The gateway.

    async def _gateway(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"op": 10, "d": {"heartbeat_interval": self._heartbeat_ms}})
        async for frame in socket:
            if frame.type is WSMsgType.TEXT:
                await self._client_said(socket, json.loads(frame.data))
        if self._socket is socket:
            self._socket = None
        return socket

    async def _client_said(self, socket: web.WebSocketResponse, said: dict[str, Any]) -> None:
        op: int = said["op"]
        d: Any = said.get("d")
        if op == 1 and self.acks:
            await socket.send_json({"op": 11})
        elif op == 2:
            self.identified.append(d)
            if self.refuse_identify or d["token"] != TOKEN:
                await socket.close(code=self.refuse_identify or 4004)
                return
            self._log.clear()
            self._count = 0
            self._socket = socket
            await self._dispatch("READY", self._ready())
            await self._dispatch("GUILD_CREATE", guild())
        elif op == 6:
            self.resumed += 1
            self._socket = socket
            for event in [event for event in self._log if event["s"] > (d["seq"] or 0)]:
                await socket.send_json(event)
            await self._dispatch("RESUMED", {})

    def _ready(self) -> dict[str, Any]:
        return {
            "v": 10, "user": bot(), "guilds": [{"id": GUILD, "unavailable": True}], "session_id": "session",
            "resume_gateway_url": f"ws://127.0.0.1:{self.port}/gateway", "application": {"id": BOT, "flags": 0},
        }  # fmt: skip

    async def _dispatch(self, name: str, d: Any) -> None:
        self._count += 1
        event = {"op": 0, "t": name, "s": self._count, "d": d}
        self._log.append(event)
        if self._socket is not None:
            with contextlib.suppress(ConnectionError):
                await self._socket.send_json(event)

    async def _frame(self, op: int, d: Any) -> None:
        assert self._socket is not None
        await self._socket.send_json({"op": op, "d": d})

    async def _close(self, code: int) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close(code=code)

    # REST.

    def _fault(self) -> web.Response | None:
        if not self.faults:
            return None
        status, body = self.faults.popleft()
        headers = {"Via": "1.1 sim"} if status == 429 else {}
        return reply(body, status, **headers)

    async def _me(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bot {TOKEN}":
            return reply({"message": "401: Unauthorized", "code": 0}, 401)
        return reply(bot())

    async def _application(self, request: web.Request) -> web.Response:
        return reply({"id": BOT, "name": "sim", "flags": 0, "description": "", "owner": bot(), "icon": None,
                      "bot_public": False, "bot_require_code_grant": False, "verify_key": "", "team": None})  # fmt: skip

    async def _message(self, request: web.Request) -> web.Response:
        refused = self._fault()
        if refused is not None:
            return refused
        files: list[tuple[str, bytes]] = []
        if request.content_type == "multipart/form-data":
            form = await request.post()
            fields = json.loads(str(form["payload_json"]))
            files = [
                (part.filename, part.file.read()) for part in form.values() if isinstance(part, web.FileField)
            ]
        else:
            fields = await request.json()
        text = fields.get("content") or ""
        if not text.strip() and not files:
            return reply({"code": 50006, "message": "Cannot send an empty message"}, 400)
        if len(text) > 2000:
            return reply({"code": 50035, "message": "Must be 2000 or fewer in length."}, 400)
        channel = request.match_info["channel"]
        nonce = str(fields.get("nonce"))
        if not (fields.get("enforce_nonce") and nonce in self._nonces):
            self._nonces[nonce] = snowflake()
            self.sent.append(Sent(channel, text, fields, files))
        return reply(message_event(text, user=BOT, channel=channel, id=self._nonces[nonce]))

    async def _typing(self, request: web.Request) -> web.Response:
        self.typed.append(request.match_info["channel"])
        return web.Response(status=204)


def reply(body: Any, status: int = 200, **headers: str) -> web.Response:
    """JSON whose content type is exactly `application/json`: discord.py takes anything else for text."""
    raw = json.dumps(body).encode()
    return web.Response(status=status, body=raw, headers={"Content-Type": "application/json", **headers})


def bot() -> dict[str, Any]:
    """The bot's own user."""
    return person(BOT) | {"bot": True}


def person(user: str) -> dict[str, Any]:
    """A user."""
    return {"id": user, "username": f"user{user}", "discriminator": "0", "avatar": None, "global_name": None}


def guild() -> dict[str, Any]:
    """The one server: a text channel with a thread, and another channel."""

    def channel(number: str) -> dict[str, Any]:
        return {"id": number, "type": 0, "name": f"c{number}", "position": 0, "permission_overwrites": [],
                "nsfw": False, "parent_id": None, "topic": None, "rate_limit_per_user": 0}  # fmt: skip

    when = "2026-01-01T00:00:00+00:00"
    thread = {"id": THREAD, "type": 11, "name": "thread", "guild_id": GUILD, "parent_id": CHANNEL, "owner_id": "1",
              "message_count": 0, "member_count": 1, "rate_limit_per_user": 0,
              "thread_metadata": {"archived": False, "auto_archive_duration": 60, "archive_timestamp": when,
                                  "locked": False}}  # fmt: skip
    role = {"id": GUILD, "name": "@everyone", "permissions": "0", "position": 0, "color": 0, "hoist": False,
            "managed": False, "mentionable": False,
            "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None}}  # fmt: skip
    return {
        "id": GUILD, "name": "sim", "owner_id": "1", "icon": None, "region": None, "afk_timeout": 0,
        "verification_level": 0, "default_message_notifications": 0, "explicit_content_filter": 0, "roles": [role],
        "emojis": [], "features": [], "mfa_level": 0, "member_count": 2, "members": [], "voice_states": [],
        "channels": [channel(CHANNEL), channel(OTHER_CHANNEL)], "threads": [thread], "presences": [],
        "premium_tier": 0, "system_channel_flags": 0, "preferred_locale": "en-US", "nsfw_level": 0,
        "stage_instances": [], "stickers": [], "guild_scheduled_events": [], "joined_at": when, "large": False,
        "unavailable": False,
    }  # fmt: skip


def message_event(text: str, *, user: str, channel: str, id: str, **more: Any) -> dict[str, Any]:
    """What MESSAGE_CREATE carries, and the answer to a sent message."""
    event = {
        "id": id, "channel_id": channel, "author": person(user), "content": text, "edited_timestamp": None,
        "timestamp": "2026-01-01T00:00:00+00:00", "tts": False, "mention_everyone": False, "mentions": [],
        "mention_roles": [], "attachments": [], "embeds": [], "pinned": False, "type": 0, "flags": 0, "components": [],
    }  # fmt: skip
    if channel in (CHANNEL, THREAD, OTHER_CHANNEL):
        event["guild_id"] = GUILD
        event["member"] = {
            "roles": [],
            "joined_at": "2026-01-01T00:00:00+00:00",
            "deaf": False,
            "mute": False,
            "flags": 0,
        }
    return event | more


@contextlib.contextmanager
def pointed_at(port: int) -> Iterator[None]:
    """discord.py's two addresses, for the while."""
    importlib.import_module("brainrouter.bridge.discord_port")  # imports discord.py without its warning
    route = importlib.import_module("discord.http").Route
    socket = importlib.import_module("discord.gateway").DiscordWebSocket
    held = route.BASE, socket.DEFAULT_GATEWAY
    route.BASE = f"http://127.0.0.1:{port}/api/v10"
    socket.DEFAULT_GATEWAY = yarl.URL(f"ws://127.0.0.1:{port}/gateway")
    try:
        yield
    finally:
        route.BASE, socket.DEFAULT_GATEWAY = held
