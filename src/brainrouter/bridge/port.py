"""What a bridge wants of a platform, and what a platform hands to a bridge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from brainrouter.bridge.grammar import Platform


@dataclass(frozen=True, slots=True)
class Message:
    """A message of somebody who may write. `id` is the platform's; the same id twice is the same message."""

    id: str
    channel: str
    author: str
    text: str


class NotSent(Exception):
    """A message could not be delivered, and trying again would not help. The text says why."""


class CannotStart(Exception):
    """The bridge cannot run as it is configured. The text says what to change."""


class Port(Protocol):
    """One platform. Its methods raise NotSent, and nothing else."""

    @property
    def platform(self) -> Platform: ...

    @property
    def limit(self) -> int:
        """How long a part may be, in UTF-16 units."""
        ...

    async def send(self, channel: str, text: str) -> None:
        """Deliver one part; returns when the platform has it."""
        ...

    async def send_file(self, channel: str, name: str, data: bytes, note: str) -> None:
        """Deliver a file with a line about it."""
        ...

    async def typing(self, channel: str) -> None:
        """Show for some seconds that an answer is being written. Best effort."""
        ...

    def literal(self, text: str) -> str:
        """`text` such that the platform shows it as it is and nobody is called by it."""
        ...
