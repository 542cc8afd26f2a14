"""What crosses the room's door: requests in, replies out. Plain data, no behaviour of their own."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec

# What a socket is bound to, as `getsockname` says it; of a Unix socket a tuple of its path.
Address = tuple[Any, ...]


class Headers:
    """Header lines in the order they came. Names are lower-case bytes; values are stripped bytes.

    Requests to one address whose heads are the same to the byte, but for the length of a body that all of them have,
    share one object. `marks` is for whoever finds something to hold of all these requests at once.
    """

    __slots__ = ("_by_name", "_items", "marks")

    def __init__(self, items: list[tuple[bytes, bytes]]) -> None:
        self._items = items
        self._by_name: dict[str, str] | None = None
        self.marks: set[object] = set()

    def by_name(self) -> dict[str, str]:
        """The first value of each name, decoded as Latin-1. The dict is the object's own, do not change it."""
        found = self._by_name
        if found is None:
            found = self._by_name = {
                name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(self._items)
            }
        return found

    def get(self, name: str) -> str | None:
        """The first value of `name` (lower-case), or None."""
        return self.by_name().get(name)

    def count(self, name: str) -> int:
        """How many lines carry `name` (lower-case)."""
        wanted = name.encode("latin-1")
        return sum(1 for key, _ in self._items if key == wanted)

    def items(self) -> list[tuple[bytes, bytes]]:
        """All lines; the list is the object's own, do not change it."""
        return self._items

    def __repr__(self) -> str:
        return f"Headers({[name.decode('latin-1') for name, _ in self._items]})"


class Peer(msgspec.Struct):
    """Who is at the other end of a connection. `socket` is the transport's own (for SO_PEERCRED): read, never write."""

    kind: Literal["tcp", "unix"]
    host: str
    port: int
    socket: Any
    local: Address


class Request(msgspec.Struct):
    """One whole request. `path` is undecoded and starts with `/`."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    peer: Peer


class Reply(msgspec.Struct):
    """A whole answer. The server adds content-length; `close` ends the connection after it.

    `lines` are header lines that `framing.header_lines` made beforehand; they follow `headers`.
    """

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False
    lines: bytes = b""


class Sink(Protocol):
    """Where a stream is written. One sink is one response body."""

    on_pause: Callable[[], None] | None
    on_resume: Callable[[], None] | None

    @property
    def paused(self) -> bool:
        """True while the client reads slower than we write."""
        ...

    def write(self, data: bytes, framed: bytes = b"") -> None:
        """Send `data` as one chunk, now, without waiting. Raises ClientGone when nobody is there.

        `framed` is the same with a chunk's framing around it, for who has it so.
        """
        ...

    async def drain(self) -> None:
        """Wait while paused. A client that takes nothing for write_stall_s is cut."""
        ...


class StreamReply(msgspec.Struct):
    """An answer that is written piece by piece. The head leaves with the first write.

    An error of `produce` before its first write becomes a 500; after it, the connection is cut, so that a
    broken stream never looks complete.
    """

    status: int
    produce: Callable[[Sink], Awaitable[None]]
    content_type: str = "text/event-stream"
    headers: tuple[tuple[str, str], ...] = ()
    lines: bytes = b""


Body = bytes | tuple[bytes | memoryview, ...]  # whole, or in pieces that follow one another
# Called with each piece of a body, and with the same as it came where it came as exactly one HTTP chunk, else b"".
OnData = Callable[[bytes, bytes], None]
Handler = Callable[[Request], Awaitable[Reply | StreamReply]]
HeaderLines = Sequence[tuple[bytes, bytes]]
SharedLines = tuple[
    tuple[bytes, bytes], ...
]  # the very same object for many requests: checked and joined once
