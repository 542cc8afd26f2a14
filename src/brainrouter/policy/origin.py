"""Who may talk to us over TCP: programs on this machine and our own page, never another web page. Pure.

Order: Host, then Sec-Fetch-Site, then Origin, then the content type of what changes something. A caller that sends no
browser header is no browser. A Unix socket has no pages: its file mode is the guard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not served, with the status that says so."""

    status: int
    message: str


def refusal(method: str, header: Callable[[str], str | None], port: int, *, has_body: bool) -> Refusal | None:
    """None when the request may be served; `port` is the one we listen on, `header` looks a request header up."""
    host = (header("host") or "").lower()
    name, _, host_port = host.rpartition(":") if _has_port(host) else (host, "", "80")
    if name not in LOOPBACK_HOSTS or host_port != str(port):
        return Refusal(
            421, f"only 127.0.0.1:{port} and localhost:{port} are served; the Host header names another"
        )
    own = {f"http://{allowed}:{port}" for allowed in LOOPBACK_HOSTS}
    origin = header("origin")
    site = header("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return Refusal(403, "requests from other web pages are refused")
    if origin is not None and origin not in own:
        return Refusal(403, "requests from other web pages are refused")
    if method not in SAFE_METHODS and has_body and not _is_json(header("content-type")):
        return Refusal(415, "the Content-Type header must be application/json")
    return None


def is_navigation(method: str, header: Callable[[str], str | None]) -> bool:
    """Whether a browser opens this as a page in a tab of its own: not in a frame, not by a script, not as a form."""
    return (
        method in ("GET", "HEAD")
        and header("sec-fetch-mode") == "navigate"
        and header("sec-fetch-dest") == "document"
        and header("origin") is None
    )


def _has_port(host: str) -> bool:
    return ":" in host.rpartition("]")[2]


def _is_json(content_type: str | None) -> bool:
    return (content_type or "").split(";", 1)[0].strip().lower() == "application/json"
