"""The route table, and the guard every route stands behind."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from brainrouter.http1.framing import header_lines
from brainrouter.http1.message import Headers, Peer, Reply, Request, StreamReply
from brainrouter.policy.origin import Refusal, is_navigation, refusal
from brainrouter.wire.ask import Dialect
from brainrouter.wire.error_body import error_body

Answer = Reply | StreamReply
Handler = Callable[[Request], Awaitable[Answer]]

# Of every answer: no page may read it, or run it as something else than it says it is.
SAFE = header_lines((("x-content-type-options", "nosniff"), ("cross-origin-resource-policy", "same-origin")))
_SENT_ONCE = frozenset({"origin", "sec-fetch-site"})
_PARAMETER = re.compile(r":(\w+)")
_REST = re.compile(r"\*(\w+)$")
_SERVED = object()  # the mark of a head that the guard let pass
_ID = r"[0-9A-Za-z_-]{1,64}"


@dataclass(slots=True)
class Routes:
    """Method and path to handler. A path may end in one `:name`, which matches a short plain id, or in one `*name`,
    which matches all that is left."""

    exact: dict[str, dict[str, Handler]] = field(default_factory=dict[str, dict[str, Handler]])
    patterns: list[tuple[re.Pattern[str], dict[str, Handler]]] = field(
        default_factory=list[tuple[re.Pattern[str], dict[str, Handler]]]
    )
    templates: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    pages: list[Handler] = field(default_factory=list[Handler])

    def page(self, path: str, handler: Handler) -> None:
        """A page for a person: a link on another site may lead to it, since opening it changes nothing."""
        self.add("GET", path, handler)
        self.pages.append(handler)

    def add(self, method: str, path: str, handler: Handler) -> None:
        self.templates.append((method, path))
        if ":" not in path and "*" not in path:
            self.exact.setdefault(path, {})[method] = handler
            return
        pattern = re.compile(_REST.sub(r"(?P<\1>.+)", _PARAMETER.sub(rf"(?P<\1>{_ID})", path)))
        self.patterns.append((pattern, {method: handler}))

    def find(self, path: str) -> dict[str, Handler]:
        """The handlers of a path by method; empty when there is no such path."""
        if path in self.exact:
            return self.exact[path]
        found: dict[str, Handler] = {}
        for pattern, handlers in self.patterns:
            if pattern.fullmatch(path):
                found |= handlers
        return found


class App:
    """What the server calls for each request: guard, look up, handle. Never raises.

    `routes` may be replaced as a whole; what runs goes on with the handler that it was given to.
    """

    def __init__(self, routes: Routes, admits: Callable[[Peer], bool]) -> None:
        self.routes = routes
        self._admits = admits

    def answer(self, request: Request) -> Awaitable[Answer]:
        """The answer to one request."""
        found = self._handler(request)
        return _said(found) if isinstance(found, Reply) else found(request)

    def _handler(self, request: Request) -> Handler | Reply:
        """Who answers a request, or our refusal."""
        if request.peer.kind == "tcp":
            refused = self._refused(request)
            if refused is not None:
                return problem(request.path, refused.status, refused.message, close=True)
        handlers = self.routes.find(request.path)
        if not handlers:
            return problem(request.path, 404, f"there is nothing at {request.path[:200]}")
        handler = handlers.get(request.method) or (handlers.get("GET") if request.method == "HEAD" else None)
        if handler is None:
            allowed = ", ".join(sorted(handlers))
            reply = problem(
                request.path, 405, f"{request.path[:200]} takes {allowed}, not {request.method[:20]}"
            )
            reply.headers = (("allow", allowed),)
            return reply
        return handler

    def _refused(self, request: Request) -> Refusal | None:
        """Why a request over TCP is not served: asked of each caller, and of each head once."""
        if not self._admits(request.peer):
            return Refusal(403, "this brainrouter belongs to another user")
        marks = request.headers.marks
        if _SERVED in marks:
            return None
        port = request.peer.local[1]
        refused = refusal(request.method, _one_word(request.headers), port, has_body=bool(request.body))
        if refused is None or self._followed_link(request, refused):
            marks.add(_SERVED)
            return None
        return refused

    def _followed_link(self, request: Request, refused: Refusal) -> bool:
        """A person followed a link on another site to one of our pages; that site cannot read what they get."""
        if refused.status != 403 or not is_navigation(request.method, request.headers.get):
            return False
        return self.routes.find(request.path).get("GET") in self.routes.pages


async def _said(reply: Reply) -> Answer:
    return reply


def _one_word(headers: Headers) -> Callable[[str], str | None]:
    """The value of a header; of one that a browser sends once and that came twice, a value nobody may have."""

    def value(name: str) -> str | None:
        found = headers.get(name)
        if found is not None and name in _SENT_ONCE and headers.count(name) > 1:
            return "several"
        return found

    return value


def dialect_of(path: str) -> Dialect:
    """The dialect in which a path's callers read errors."""
    if path.startswith("/v1/messages"):
        return "messages"
    return "responses" if path.startswith("/v1/responses") else "chat"


def problem(path: str, status: int, message: str, *, param: str | None = None, close: bool = False) -> Reply:
    """One of our own 4xx or 5xx, in the dialect of the path."""
    body = error_body(dialect_of(path), status=status, message=message, param=param)
    return Reply(status, body, headers=(("retry-after", "1"),) if status in (429, 503) else (), close=close)


def server_error_body(status: int, message: str, path: str) -> tuple[bytes, str]:
    """How the HTTP layer words what it refuses itself."""
    return error_body(dialect_of(path), status=status, message=message), "application/json"
