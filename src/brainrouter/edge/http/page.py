"""The dashboard's files, from the package: read once at start, served from memory, with a strict policy."""

from __future__ import annotations

import hashlib
import html
import mimetypes
from pathlib import Path

from brainrouter.edge.http.routes import Answer, problem
from brainrouter.http1.message import Reply, Request

FILES = Path(__file__).with_name("page_files")
TOKEN_MARK = b'name="brainrouter-token" content=""'
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_GUARDS = (
    ("content-security-policy", POLICY),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
)
# Their names carry a checksum of what is in them.
_FOREVER = ("cache-control", "public, max-age=31536000, immutable")
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
_MISSING = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>brainrouter</title>
<h1>brainrouter is running</h1>
<p>Its dashboard has not been built. In a checkout, run <code>make setup</code> and start it again.</p>
<p>All that the dashboard shows can be read as JSON: <a href="/health">/health</a>,
<a href="/api/routing-events">/api/routing-events</a>, <a href="/api/routing-stats">/api/routing-stats</a>,
<a href="/api/versions">/api/versions</a>, <a href="/review/api/sessions">/review/api/sessions</a>.</p>
</html>
"""


class Page:
    """Handlers of the page and of its parts. The page carries the token that its actions must show."""

    def __init__(self, token: str, files: Path = FILES) -> None:
        self._parts = {
            path.name: _Part(path) for path in sorted((files / "page").glob("*")) if path.is_file()
        }
        index = files / "index.html"
        self._index = index.read_bytes() if index.is_file() else None
        self._token = b'name="brainrouter-token" content="%b"' % html.escape(token).encode()

    async def index(self, _: Request) -> Answer:
        """GET / and every page under /review/: one application, which looks at the address itself."""
        headers = (*_GUARDS, ("cache-control", "no-store"))
        kind = "text/html; charset=utf-8"
        if self._index is None:
            return Reply(503, _MISSING, kind, headers)
        return Reply(200, self._index.replace(TOKEN_MARK, self._token), kind, headers)

    async def part(self, request: Request) -> Answer:
        """GET /page/*file: a script, a style sheet, an image."""
        part = self._parts.get(request.path.removeprefix("/page/"))
        if part is None:
            return problem(request.path, 404, "the dashboard has no such file")
        headers = (*_GUARDS, _FOREVER, ("etag", part.etag))
        if part.etag in (request.headers.get("if-none-match") or ""):
            return Reply(304, b"", part.kind, headers)
        return Reply(200, part.body, part.kind, headers)


class _Part:
    """One file in memory."""

    def __init__(self, path: Path) -> None:
        self.body = path.read_bytes()
        self.kind = (
            _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        )
        self.etag = f'"{hashlib.sha256(self.body).hexdigest()[:24]}"'
