"""Bytes to requests: httptools (llhttp) plus every rule that it leaves out. No sockets, no clock.

llhttp itself refuses: Content-Length with Transfer-Encoding, two or odd Content-Lengths, bare LF and CR, obs-fold,
control bytes, bad chunk sizes. Measured to pass it and refused here: two Hosts, none on 1.1, `_` in a name,
`gzip, chunked`, chunked on 1.0, HTTP/0.9 and 2.0, targets that are not a path, a fragment, methods of other protocols,
Upgrade with a body (llhttp would read the body as a request), and anything over a limit.
"""

from collections.abc import Callable
from typing import Any, NoReturn

import httptools

from brainrouter.http1.errors import Refused
from brainrouter.http1.known_head import KnownHead, KnownHeads, around_length
from brainrouter.http1.limits import Limits
from brainrouter.http1.message import Headers, Peer, Request
from brainrouter.http1.names import names

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
Deliver = Callable[[Request, bool, bool], bool]

_HELD_TOO_MUCH = "the server holds too many request bodies"
_TOO_MANY = "too many pipelined requests"
_PARTS_MAX = 1024  # a body in two-byte chunks would cost 30 times its size as a list of pieces


class RequestReader:
    """Feeds on bytes in any slices; calls `deliver(request, keep_alive, is_http_10)` for each whole request, in order.

    `feed` raises Refused at the first byte that breaks a rule; requests before it have been delivered, and the reader
    must not be fed again. `on_expect` is called when a client waits for 100 Continue; `on_hold(n)` for body bytes as
    they come (the sum of a request's is len(body)). `deliver` and `on_hold` return False to refuse. `heads` are those
    that came to the same address; what is read is added to them.
    """

    __slots__ = (
        "_begun", "_block", "_body_left", "_bulk", "_deliver", "_fed", "_headers", "_heads", "_hold", "_items", "_keep",
        "_known", "_last", "_limits", "_method", "_old", "_on_expect", "_parser", "_parts", "_path", "_peer", "_query",
        "_refused", "_size", "_start", "_target", "in_body",
    )  # fmt: skip

    def __init__(
        self,
        limits: Limits,
        peer: Peer,
        deliver: Deliver,
        on_expect: Callable[[], None],
        on_hold: Callable[[int], bool],
        heads: KnownHeads,
    ) -> None:
        self._limits = limits
        self._peer = peer
        self._deliver = deliver
        self._on_expect = on_expect
        self._hold = on_hold
        self._last = False
        self._block = 0
        self._refused: Refused | None = None
        self._parser: Any = None
        self._heads = heads
        self._known: KnownHead | None = None
        self._reset()

    def _reset(self) -> None:
        self._start = b""
        self._target = b""
        self._items: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._bulk: bytearray | None = None
        self._size = 0
        self._fed = 0
        self._begun = False
        self._body_left = -1
        self.in_body = False

    @property
    def partial(self) -> bool:
        """True when a request has begun and is not whole yet."""
        return self._begun or self._fed > 0

    @property
    def size(self) -> int:
        """Body bytes of the unfinished request so far."""
        return self._size

    @property
    def path(self) -> str:
        """The path of the unfinished request, as far as it has come."""
        return self._target.partition(b"?")[0].decode("ascii", "replace")

    def drop(self) -> int:
        """Forget the unfinished request; says how many body bytes it held."""
        size = self._size
        self._reset()
        return size

    def feed(self, data: bytes) -> None:
        """Read `data`. Raises Refused; nothing else."""
        if self._last:
            return
        if self.in_body and self._body_left > 0:
            data = self._take_body(data)
        while data and not self._begun and not self._fed:
            known = self._known
            found = (known and known.begins(data)) or self._heads.begins(data)
            if not found:
                break
            self._known = found[0]
            data = self._same_again(*found, data)
        if not data:
            return
        if not self.partial:
            self._start = data
        self._block = len(data)
        self._fed += self._block
        size = self._size
        self._parse(data)
        if self.in_body:
            self._past_the_parser(size)
        elif self._fed > self._limits.head_bytes:
            self._refuse(431, "the request head is too large")

    def _same_again(self, known: KnownHead, at: int, length: int, data: bytes) -> bytes:
        """Take a request whose head is `known`, without parsing it; gives back what is not of this request."""
        self._target = known.target
        self._check_length(length)
        end = at + length
        if len(data) < end:
            self._begun = self._keep = self.in_body = True
            self._old = False
            self._body_left = length
            self._method, self._path, self._query, self._headers = (
                known.method, known.path, known.query, known.headers
            )  # fmt: skip
            return self._take_body(data[at:]) if len(data) > at else b""
        if not self._hold(length):
            self._size = length
            self._refuse(503, _HELD_TOO_MUCH)
        self._target = b""
        body = data[at:end]  # all of it, as most come
        request = Request(known.method, known.path, known.query, known.headers, body, self._peer)
        if not self._deliver(request, True, False):
            self._refuse(400, _TOO_MANY)
        return data[end:]

    def _parse(self, data: bytes) -> None:
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:  # ignored: it is answered as plain HTTP/1.1
                data = data[upgrade.args[0] :]
                continue
            except httptools.HttpParserError as error:
                if self._last:
                    return
                raise self._refused or Refused(400, f"malformed request: {error}") from None
            return

    def _past_the_parser(self, size_before: int) -> None:
        """The rest of a body of known length needs no parsing; a chunked one must not be all framing."""
        if self._body_left > 0:
            self._body_left -= self._size
            self._parser = None
        elif self._size > size_before:
            self._fed = 0
        elif self._fed > self._limits.head_bytes:
            self._refuse(400, "too many bytes of chunk framing or trailers")

    def _take_body(self, data: bytes) -> bytes:
        """Keep what belongs to the body of known length; give back the rest."""
        left = self._body_left
        rest = b""
        if len(data) > left:
            data, rest = data[:left], data[left:]
        self.on_body(data)
        self._body_left = left - len(data)
        if self._body_left == 0:
            self.on_message_complete()
        return b"" if self._last else rest

    # httptools calls these; raising stops it

    def on_url(self, part: bytes) -> None:
        self._begun = True
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        low = names[name]
        if not low:
            self._refuse(400, "header names may not contain an underscore")
        self._items.append((low, value.rstrip()))

    def on_headers_complete(self) -> None:
        limits = self._limits
        items = self._items
        parser = self._parser
        if len(items) > limits.header_count:
            self._refuse(431, "too many header lines")
        fed = max(self._block, self._fed)
        if fed > limits.head_bytes and self._head_size() > limits.head_bytes:
            self._refuse(431, "the request head is too large")
        version = parser.get_http_version()
        self._old = version != "1.1"
        if self._old and version != "1.0":
            self._refuse(505, "only HTTP/1.1 and 1.0 are spoken here")
        self._method = parser.get_method().decode()
        if self._method not in METHODS:
            self._refuse(501, "this method is not spoken here")
        if (
            self._old and self._method == "OPTIONS"
        ):  # llhttp takes RTSP/1.0 for 1.0; others of its methods fail
            self._refuse(505, "OPTIONS needs HTTP/1.1")
        if self._target[:1] != b"/" or b"#" in self._target:
            self._refuse(400, "the request target must be a path")
        first = dict(items)
        if len(first) != len(items):
            first = dict(reversed(items))
            if sum(1 for name, _ in items if name == b"host") > 1:
                self._refuse(400, "more than one Host header")
        if b"host" not in first and not self._old:
            self._refuse(400, "the Host header is missing")
        self._check_body(first)
        self._keep = parser.should_keep_alive()
        self._headers = Headers(items)
        self._items = []  # trailers land here and are dropped
        self._path, _, self._query = self._target.decode("ascii").partition("?")
        self._remember(first)
        self.in_body = True

    def on_body(self, part: bytes) -> None:
        size = len(part)
        if self._size + size > self._limits.body_bytes:
            self._refuse(413, "the request body is too large")
        self._size += size
        if not self._hold(size):
            self._refuse(503, _HELD_TOO_MUCH)
        parts = self._parts
        parts.append(part)
        if len(parts) == _PARTS_MAX:
            if self._bulk is None:
                self._bulk = bytearray()
            self._bulk += b"".join(parts)
            parts.clear()

    def on_message_complete(self) -> None:
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        if self._bulk is not None:
            body = bytes(self._bulk + body)
        request = Request(self._method, self._path, self._query, self._headers, body, self._peer)
        self._last = not self._keep
        self._reset()
        if not self._deliver(request, self._keep, self._old):
            self._refuse(400, _TOO_MANY)

    # inside

    def _refuse(self, status: int, message: str) -> NoReturn:
        self._refused = Refused(status, message, self.path)
        raise self._refused

    def _check_body(self, first: dict[bytes, bytes]) -> None:
        coding = first.get(b"transfer-encoding")
        length = first.get(b"content-length")
        if coding is not None and (self._old or coding.lower() != b"chunked"):
            self._refuse(501, "the only transfer-encoding understood is chunked, on HTTP/1.1")
        if length is not None:
            self._body_left = int(length)
            self._check_length(self._body_left)
        if b"upgrade" in first and self._parser.should_upgrade() and (coding or self._body_left > 0):
            self._refuse(400, "a request with a body cannot be upgraded")
        expect = first.get(b"expect")
        if expect is not None:
            if expect.lower() != b"100-continue":
                self._refuse(417, "the only expectation understood is 100-continue")
            if not self._old and (coding or self._body_left > 0):
                self._on_expect()

    def _check_length(self, length: int) -> None:
        if length > self._limits.body_bytes:
            self._refuse(413, "the request body is too large")

    def _remember(self, first: dict[bytes, bytes]) -> None:
        """Know this head again, where it is a plain one: kept alive, with a body of known length to come at once."""
        plain = self._keep and not self._old and self._body_left > 0 and self._start
        if not plain or b"expect" in first or b"upgrade" in first:
            return
        halves = around_length(self._start)
        if halves is not None:
            self._known = KnownHead(
                *halves, self._method, self._target, self._path, self._query, self._headers
            )
            self._heads.add(self._known)

    def _head_size(self) -> int:
        return len(self._target) + 14 + sum(len(name) + len(value) + 4 for name, value in self._items)
