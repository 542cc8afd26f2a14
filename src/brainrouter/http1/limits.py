"""The numbers that bound one server."""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB

# The high-water mark of a transport. uvloop keeps a write back until its loop has gone round, unless the write goes
# over the mark: 0 lets it leave at once, and whoever writes hears of a full kernel buffer, not of one in front of it.
WRITE_AT_ONCE = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a server; times in seconds. Deadlines are checked about four times in the shortest of them."""

    head_bytes: int = 32 * KIB
    header_count: int = 100
    body_bytes: int = 32 * MIB
    body_rate: int = 1 * KIB  # bytes a second that a body must keep up, after its first body_idle_s
    held_bytes: int = 512 * MIB  # request bodies held at once, over all connections; then 503
    head_s: float = 10.0  # absolute, from the first byte of a head
    body_idle_s: float = 30.0
    keepalive_idle_s: float = 75.0
    write_stall_s: float = 60.0
    linger_s: float = 2.0  # how long a refused client's bytes are still swallowed, so that it can read why
    max_connections: int = 1024
    max_in_flight: int = 512
    pipelined: int = 16
    backlog: int = 2048

    def tick_s(self) -> float:
        """How often the deadlines are looked at."""
        shortest = min(
            self.head_s, self.body_idle_s, self.keepalive_idle_s, self.write_stall_s, self.linger_s
        )
        return max(0.01, min(0.5, shortest / 4))
