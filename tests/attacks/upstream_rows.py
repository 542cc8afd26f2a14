"""A17 and A18: addresses that lead elsewhere, and upstreams that want to."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator

from tests.attacks.rig import Fort, asks, fort_of
from tests.daemon import Daemon
from tests.faults.catalogue import Promise, Row, Trial
from tests.faults.rig import resident_kb
from tests.faults.ways import WAYS
from tests.sim.scripts import answer, redirect, status, wire

ADDRESSES = [
    "file:///etc/passwd", "gopher://127.0.0.1:6379/_x", "ftp://127.0.0.1/", "unix:///run/docker.sock", "http://user:pw@127.0.0.1/v1",
    "http://127.0.0.1:99999/v1", "http://127.0.0.1/v1?x=y", "http://127.0.0.1/v1#x", "http://127.0.0.1/ /v1", "http://",
    "http://127.0.0.1\\@evil.example/", "http://127.0.0.1/v1\r\nx: y", "javascript:alert(1)", "127.0.0.1:3001", "//evil.example/v1",
]  # fmt: skip
NAMES = [
    "http://169.254.169.254/latest/meta-data", "../../../admin", "..%2f..%2fadmin", "?x=y", "#x", "x\r\nhost: evil.example",
    "x HTTP/1.1\r\n\r\nGET /admin", "@evil.example", "//evil.example/", "\\\\evil.example\\x", "file:///etc/passwd", "x" * 5000,
    "gemma-small/../../admin", "gemma-small?x", "%00", "\x00",
]  # fmt: skip


@contextlib.contextmanager
def trap() -> Iterator[tuple[str, list[bytes]]]:
    """A server that nobody should come to; what was said to it."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            with contextlib.suppress(OSError):
                while True:
                    visitor, _ = server.accept()
                    with visitor:
                        visitor.settimeout(1)
                        heard.append(visitor.recv(65536))

        threading.Thread(target=listen, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", heard
        server.shutdown(socket.SHUT_RDWR)


def elsewhere(trial: Trial) -> None:
    fort = fort_of(trial)
    for address in ADDRESSES if trial.whole else ADDRESSES[:1]:
        for section in ("manifest", "llama_swap")[: 2 if trial.whole else 1]:
            with contextlib.closing(Daemon(config={section: {"base_url": address}})) as wrong:
                assert wrong.spawn().wait(20) == 78, address
                assert f"{section}.base_url" in wrong.log()
                assert "pw@" not in wrong.log()
                trial.tried()
    with trap() as (url, heard):
        _names(trial, fort)
        for code in (301, 302, 303, 307, 308) if trial.whole else (302, 307):
            for way in WAYS:
                fort.manifest.script(redirect(f"{url}/v1{way.path}", code))
                assert fort.key not in repr(way.ask(fort.daemon, "cloud", f"redirected {code}").body)
                fort.rested()
                trial.tried()
        names = ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY")
        proxies: dict[str, str] = dict.fromkeys(names, url)
        with Daemon(manifest=f"{fort.manifest.url}/v1", key=fort.key, env=proxies) as daemon:
            fort.manifest.script(answer("direct"))
            assert daemon.chat("cloud").text == "direct"
        trial.hold(Promise.LEAK, heard == [], f"somebody came: {heard}")


def _names(trial: Trial, fort: Fort) -> None:
    """The name of a model never becomes a part of an address."""
    for name in NAMES:
        fort.clean()
        for way in WAYS[::2]:
            way.ask(fort.daemon, name, "which address?")
        fort.daemon.send("POST", "/v1/messages/count_tokens", {"model": name, "messages": []})
        asks(fort.daemon, "GET", "/v1/models/" + "".join(f"%{byte:02x}" for byte in name.encode()[:300]), [])
        usual = ("/v1/", "/api/v1/health", "/running")
        paths = [request["path"] for sim in fort.sims for request in sim.requests()]
        strange = [path for path in paths if not path.startswith(usual) or ".." in path or "admin" in path]
        trial.hold(Promise.LEAK, not strange, f"{name!r}: {strange}")
        trial.tried()


OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
FINE = b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}]}'
HEADERS = {
    "set-cookie": "session=stolen", "access-control-allow-origin": "*", "access-control-allow-private-network": "true",
    "location": "https://evil.example", "content-security-policy": "default-src *", "clear-site-data": '"*"',
    "strict-transport-security": "max-age=99999999", "refresh": "0;url=https://evil.example", "alt-svc": 'h2="evil.example:443"',
    "server": "evil", "link": "<https://evil.example>; rel=preload", "x-brainrouter-decision": "forged", "www-authenticate": "Basic",
    "proxy-authenticate": "Basic", "upgrade": "h2c", "trailer": "x", "x-content-type-options": "none", "service-worker-allowed": "/",
}  # fmt: skip
MANGLED = {
    "a header with a bare CR": OK + b"x-manifest-model: a\rset-cookie: b\r\n\r\n{}",
    "a header with NUL": OK + b"x-manifest-model: a\0b\r\n\r\n{}",
    "a folded header": OK + b"x-manifest-model: a\r\n set-cookie: b\r\n\r\n{}",
    "a name with a space": OK + b"set cookie: b\r\n\r\n{}",
    "100,000 headers": OK
    + b"".join(b"x-manifest-%d: x\r\n" % number for number in range(100_000))
    + b"\r\n{}",
    "a header of 10 MB": OK + b"x-manifest-model: " + b"x" * 10_000_000 + b"\r\n\r\n{}",
    "two lengths": OK + b"content-length: 2\r\ncontent-length: 300\r\n\r\n{}",
    "a length and chunks": OK
    + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "not HTTP": b"220 smtp.example ESMTP\r\n",
    "HTTP/2": b"\0\0\x12\x04\0\0\0\0\0",
    "another answer behind it": OK
    + b"content-length: %d\r\n\r\n" % len(FINE)
    + FINE
    + OK
    + b"set-cookie: b\r\n\r\n{}",
}


def hostile(trial: Trial) -> None:
    fort = fort_of(trial)
    daemon, child = fort.daemon, fort.daemon.child
    assert child is not None
    fort.llama_swap.script(answer("the other side"))
    before = resident_kb(child.pid)
    for way in WAYS:
        for script in (answer("fine", headers=HEADERS), status(400, headers=HEADERS)):
            fort.manifest.script(script)
            found = way.ask(daemon, "cloud", "cookies?")
            passed = {name for name, value in HEADERS.items() if found.headers.get(name) == value}
            trial.hold(Promise.LEAK, not passed, f"{way}: {passed}")
            trial.tried()
        fort.manifest.script(status(500, "<script>alert(1)</script>"))
        kind = way.ask(daemon, "cloud", "script?").headers["content-type"]
        assert "html" not in kind
        fort.rested()
    for name, answered in MANGLED.items():
        for way in WAYS if trial.whole else WAYS[1:2]:
            fort.manifest.script(wire(answered))
            found = way.ask(daemon, "cloud", name)
            assert found.status in (200, 502, 503), (name, found)
            assert "set-cookie" not in found.headers, name
            assert json.dumps(found.headers).count("\\r") == 0
            fort.rested()
            trial.tried()
    grown = resident_kb(child.pid) - before
    assert grown < 60_000, f"{grown} KiB more"
    trial.figure("memory", grown / 1024, "MiB")


ROWS = (
    Row("A17", "addresses of other kinds in the configuration; model names that are addresses; redirects; proxy variables", "exit 78 by key; the paths asked for stay ours; nobody else is asked", "quick", elsewhere, 240.0),
    Row("A18", "an upstream sets cookies, opens CORS, forges our headers, breaks framing, sends 100,000 headers", "only known headers pass; malformed answers fall back; bounded memory", "quick", hostile, 120.0),
)  # fmt: skip
