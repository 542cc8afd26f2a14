"""Everything this room raises.

Http1Error
|- Refused            a request that breaks the rules; answered by the server itself, never seen by a handler
|- ClientGone         the peer of the server left: stop producing
`- UpstreamError      the exchange with an upstream did not work
   |- ConnectFailed   no connection (refused, no such name, TLS, or not within connect_s)
   |- HeadTimeout     no complete head within first_byte_s
   |- IdleTimeout     the body stood still for idle_s
   |- OverTime        the exchange took longer than it may in all
   |- Broken          ended before its end, reset, or bytes that are no HTTP
   `- TooLarge        more than the caller wanted to hold
"""


class Http1Error(Exception):
    """The root of the tree."""


class Refused(Http1Error):
    """A request that the server answers by itself with `status` and then closes. `path` is empty when unknown."""

    def __init__(self, status: int, message: str, path: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.path = path


class ClientGone(Http1Error):
    """The client of this server has left; nothing more can reach it."""


class UpstreamError(Http1Error):
    """The upstream gave no whole answer. Its connection is closed already."""


class ConnectFailed(UpstreamError):
    """No connection could be made, so nothing was sent."""


class HeadTimeout(UpstreamError):
    """The upstream did not send a whole response head in time."""


class IdleTimeout(UpstreamError):
    """The upstream went silent in the middle of a body."""


class OverTime(UpstreamError):
    """The exchange took longer than it may in all, however busily."""


class Broken(UpstreamError):
    """The connection ended before the answer did, or what came is not HTTP."""


class TooLarge(UpstreamError):
    """The body or the head is larger than allowed."""
