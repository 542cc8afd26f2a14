"""The token that each start puts into the page: what changes something over TCP must show it."""

from __future__ import annotations

import secrets

from brainrouter.edge.http.routes import problem
from brainrouter.http1.message import Reply, Request

TOKEN_HEADER = "x-brainrouter-token"  # noqa: S105 - the name of a header


class PageToken:
    """Knows the token. Whoever sits at the Unix socket needs none."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def refusal(self, request: Request) -> Reply | None:
        """What a caller gets who has not read the page; None for one who has."""
        given = request.headers.get(TOKEN_HEADER) or ""
        if request.peer.kind != "tcp" or secrets.compare_digest(given.encode("latin-1"), self._token):
            return None
        message = f"this needs the token of the dashboard's page in {TOKEN_HEADER}, or the Unix socket"
        return problem(request.path, 403, message, param=TOKEN_HEADER)
