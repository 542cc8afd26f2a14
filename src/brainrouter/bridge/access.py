"""Who is answered. An empty list answers nobody; a stranger gets nothing, not even an error. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

PROMPTS_A_MINUTE = 10
COMMANDS_A_MINUTE = 30


@dataclass(frozen=True, slots=True)
class DiscordAccess:
    """User ids and channel ids, as Discord writes them. A server's channel must be listed as well as the user.

    With `mentions`, a listed user is answered in any channel when the message names the bot.
    """

    users: frozenset[str]
    channels: frozenset[str]
    mentions: bool = False

    def admits(self, user: str, channel: str, parent: str | None, *, direct: bool, named: bool) -> bool:
        """`parent` is the channel that a thread belongs to; `named` says that the message names the bot."""
        here = direct or channel in self.channels or parent in self.channels or (named and self.mentions)
        return here and user in self.users

    def missing(self) -> str | None:
        """What to add to be answered at all, or None."""
        if not self.users:
            return "nobody is answered: add your Discord user id to bridge.discord.allowed_users"
        return None

    def summary(self) -> str:
        """Who is answered, in a line."""
        places = f"in {len(self.channels)} channels" if self.channels else "in direct messages only"
        named = ", and where the bot is named" if self.mentions else ""
        return f"answers {len(self.users)} people, {places}{named}"


@dataclass(frozen=True, slots=True)
class SignalAccess:
    """Numbers or account ids that may write directly, and one group whose members may write there."""

    people: frozenset[str]
    group: str | None

    def admits(self, sender: tuple[str, ...], group: str | None) -> bool:
        """`sender` is every name we know of whoever wrote: account id, number."""
        if group is not None:
            return group == self.group
        return not self.people.isdisjoint(sender)

    def missing(self) -> str | None:
        """What to add to be answered at all, or None."""
        if not self.people and self.group is None:
            return (
                "nobody is answered: add your number (+...) to bridge.signal.allowed_numbers, "
                "or set bridge.signal.group_id"
            )
        return None

    def summary(self) -> str:
        """Who is answered, in a line."""
        people = f"answers {len(self.people)} people" if self.people else "answers"
        return (
            f"{people} and one group"
            if self.group and self.people
            else people + (" one group" * bool(self.group))
        )


@dataclass(slots=True)
class Rate:
    """At most so many messages a minute from one person. Who was silent for two minutes is not remembered."""

    limit: int
    _times: dict[str, deque[float]] = field(default_factory=dict[str, deque[float]])
    _told: dict[str, float] = field(default_factory=dict[str, float])
    _swept: float = 0.0

    def takes(self, person: str, now: float) -> bool:
        """Count one; False when it is one too many."""
        self._sweep(now)
        times = self._times.setdefault(person, deque())
        while times and now - times[0] >= 60:
            times.popleft()
        if len(times) >= self.limit:
            return False
        times.append(now)
        return True

    def tells(self, person: str, now: float) -> bool:
        """Whether to say so now: once a minute."""
        self._sweep(now)
        if now - self._told.get(person, -60.0) < 60:
            return False
        self._told[person] = now
        return True

    def _sweep(self, now: float) -> None:
        if now - self._swept < 60:
            return
        self._swept = now
        self._times = {name: times for name, times in self._times.items() if now - times[-1] < 60}
        self._told = {name: at for name, at in self._told.items() if now - at < 60}
