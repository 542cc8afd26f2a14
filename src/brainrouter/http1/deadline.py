"""The one deadline of a server connection. Pure: the clock is passed in, and the hot path never asks for it."""

from brainrouter.http1.limits import Limits

_RESTING, _HEAD, _BODY, _STALL, _LINGER = range(5)


class Deadline:
    """When a connection's patience ends. A fresh one waits `head_s` for the first request."""

    __slots__ = ("_at", "_begun", "_kind", "_limits", "_unsent")

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._kind = _RESTING
        self._at = now + limits.head_s
        self._begun = 0.0
        self._unsent = 0

    def rest(self) -> None:
        """Nothing is owed. The keep-alive time starts with the next look, so that no request pays for a clock."""
        self._kind = _RESTING
        self._at = 0.0

    def head(self, now: float) -> None:
        """Part of a head has come: the deadline is absolute from the first part."""
        if self._kind != _HEAD:
            self._kind = _HEAD
            self._at = now + self._limits.head_s

    def body(self, now: float, size: int) -> None:
        """Body bytes have come, `size` so far: they push the deadline on, as long as they keep up `body_rate`."""
        limits = self._limits
        if self._kind != _BODY:
            self._kind = _BODY
            self._begun = now
        slowest = self._begun + limits.body_idle_s + size / limits.body_rate
        self._at = min(now + limits.body_idle_s, slowest)

    def linger(self, now: float) -> None:
        """A refused client may read why for so long."""
        self._kind = _LINGER
        self._at = now + self._limits.linger_s

    def stalled(self, now: float, unsent: int) -> bool:
        """True when a client that owes reading `unsent` bytes took none of them for write_stall_s."""
        if self._kind != _STALL or unsent < self._unsent:
            self._kind = _STALL
            self._at = now + self._limits.write_stall_s
        self._unsent = unsent
        return now >= self._at

    def passed(self, now: float) -> bool:
        """True when it is over. Starts the keep-alive time of a resting connection."""
        if self._at == 0.0:
            self._at = now + self._limits.keepalive_idle_s
        return now >= self._at
