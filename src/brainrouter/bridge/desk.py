"""Where a bridge's messages arrive: each once, nobody too often, each to its channel's conversation."""

from __future__ import annotations

import asyncio
import logging
import time
from itertools import islice

from brainrouter.bridge.access import COMMANDS_A_MINUTE, PROMPTS_A_MINUTE, Rate
from brainrouter.bridge.conversation import Conversation
from brainrouter.bridge.deliver import deliver
from brainrouter.bridge.grammar import Prompt, parse
from brainrouter.bridge.means import Means
from brainrouter.bridge.port import Message, NotSent

MOST_CONVERSATIONS = 500

_log = logging.getLogger("brainrouter.bridge")


class Desk:
    """Takes messages of people who may write. Its conversations live in `group`."""

    def __init__(self, means: Means, group: asyncio.TaskGroup) -> None:
        self._means = means
        self._group = group
        self._conversations: dict[str, Conversation] = {}
        self._prompts = Rate(PROMPTS_A_MINUTE)
        self._commands = Rate(COMMANDS_A_MINUTE)
        self._full = Rate(0)

    def receive(self, message: Message) -> None:
        """Take a message in. One that was heard before, also before a restart, is passed over."""
        parsed = parse(message.text, self._means.prefix, self._means.port.platform)
        if parsed is None or not self._means.state.session(message.channel).hear(message.id, time.time()):
            return
        conversation = self._conversation(message.channel)
        rate = self._prompts if isinstance(parsed, Prompt) else self._commands
        now = time.monotonic()
        if conversation.full():
            if self._full.tells(message.channel, now):
                conversation.note("Too much waits here: I leave the rest unanswered for a while.")
        elif rate.takes(message.author, now):
            conversation.accept(message, parsed)
        elif rate.tells(message.author, now):
            conversation.note(f"More than {rate.limit} a minute: I leave the rest unanswered for a while.")

    def _conversation(self, channel: str) -> Conversation:
        """The channel's own. Where there are many, those with nothing to do make room first."""
        found = self._conversations.pop(channel, None)
        if found is None:
            if len(self._conversations) >= MOST_CONVERSATIONS:
                self._make_room()
            found = Conversation(self._means, channel, self._group)
        self._conversations[channel] = found  # the last to go
        return found

    def _make_room(self) -> None:
        idle = (name for name, conversation in self._conversations.items() if conversation.idle())
        for name in list(islice(idle, MOST_CONVERSATIONS // 2)):
            self._conversations.pop(name).end()

    async def tell_interrupted(self) -> None:
        """Say where a question was left unanswered by the end of an earlier run."""
        for channel, session in list(self._means.state.sessions().items()):
            count = len(session.pending)
            if not count:
                continue
            session.pending.clear()
            what = "your last question" if count == 1 else f"your last {count} questions"
            try:
                await self._means.state.keep_session(channel)
                await deliver(
                    self._means.port,
                    channel,
                    f"I was restarted before I could answer {what}. Please ask again.",
                )
            except (NotSent, OSError) as error:
                _log.warning("%s bridge: %s", self._means.port.platform, error)
