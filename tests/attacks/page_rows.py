"""A1 to A7: what a web page in the user's browser may try."""

from __future__ import annotations

import json
from typing import Any

from tests.attacks.rig import APPROVES, Fort, asks, fort_of, raw, routes
from tests.daemon import Answer, eventually
from tests.faults.catalogue import Promise, Row, Trial
from tests.faults.ways import WAYS
from tests.sim.scripts import answer

EVIL = "https://evil.example"
PAGES = ("/", "/review/", "/review/session/")


def foreign_hosts(port: int) -> list[str]:
    """Names that a page can make point here, or that only look like ours."""
    names = [
        "evil.example", "127.0.0.1.nip.example", "localhost.evil.example", "evil-localhost", "localhost.localdomain",
        "localhost.", "127.0.0.1.", "0.0.0.0", "127.1", "127.0.0.2", "2130706433", "0x7f000001", "0177.0.0.1", "[::]",
        "[::ffff:127.0.0.1]", "[0:0:0:0:0:0:0:1]", "::1", "ip6-localhost", "host.docker.internal", "brainrouter.local",
        "user@localhost", "localhost@evil.example", "evil.example#localhost", "localhost%00.evil.example",
        "evil.example/localhost", "localhost/health?x=", "*", "xn--localhst-x1a",
    ]  # fmt: skip
    wrong_port = [f"localhost:{other}" for other in (1, 80, port + 1, f"{port}0", f"0{port}", f"{port}x", "")]
    return [*(f"{name}:{port}" for name in names), "evil.example", "localhost", "127.0.0.1", *wrong_port, ""]


def rebinding(trial: Trial) -> None:
    fort = fort_of(trial)
    daemon, port = fort.daemon, fort.daemon.port
    hosts = foreign_hosts(port)
    for number, (method, path) in enumerate(routes()):
        # Every name on every route in the whole run; each route with a few of the names in the quick one.
        for host in hosts if trial.whole or path == "/health" else hosts[number % 5 :: 18]:
            found = asks(daemon, method, path, [("host", host), ("content-type", "application/json")], b"{}")
            refused = found.status == 421 or (found.status == 400 and not host)
            trial.hold(Promise.CROSS_SITE, refused, f"{method} {path} as {host!r}: {found}")
            trial.tried()
    two = f"GET /health HTTP/1.1\r\nhost: localhost:{port}\r\nhost: evil.example"
    none = "GET /health HTTP/1.1\r\nx: y"
    for head in (two, none, f"GET http://evil.example/health HTTP/1.1\r\nhost: localhost:{port}"):
        trial.hold(Promise.CROSS_SITE, raw(daemon, head).status in (400, 421), head)
    assert not fort.asked()
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
        assert asks(daemon, "GET", "/health", [("host", host)]).status == 200
    assert raw(daemon, "GET /health HTTP/1.1\r\nhost: anything", unix=True).status == 200
    trial.figure("names", len(hosts))


def foreign_pages(port: int) -> list[list[tuple[str, str]]]:
    """The headers of requests that browsers send for pages of others: forms, fetch, beacons, frames."""
    json_ = ("content-type", "application/json")
    text = ("content-type", "text/plain;charset=UTF-8")
    form = ("content-type", "application/x-www-form-urlencoded")
    cross = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "empty")]
    return [
        [text, ("origin", EVIL), *cross],
        [form, ("origin", EVIL), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
        [("content-type", "multipart/form-data; boundary=x"), ("origin", EVIL), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
        [json_, ("origin", "null"), *cross],
        [json_, ("origin", "null")],
        [json_, ("origin", f"http://localhost:{port + 1}"), ("sec-fetch-site", "same-site")],
        [json_, ("origin", f"http://127.0.0.1:{port + 1}")],
        [json_, ("origin", f"https://localhost:{port}")],
        [json_, ("origin", f"http://localhost:{port}.evil.example")],
        [json_, ("origin", f"http://localhost:{port}"), ("sec-fetch-site", "cross-site")],
        [json_, ("origin", ""), ("sec-fetch-site", "same-site")],
        [json_, ("origin", EVIL), ("referer", f"http://localhost:{port}/")],
        [json_, ("origin", f"http://localhost:{port}"), ("origin", EVIL)],
        [json_, ("origin", f"http://localhost:{port} {EVIL}")],
        [json_, ("sec-fetch-site", "none, cross-site")],
        [json_, ("sec-fetch-site", "same-origin"), ("origin", EVIL)],
        [json_, ("origin", f"chrome-extension://{'a' * 32}")],
        [text, ("referer", f"http://localhost:{port}/")],
        [form],
        [("content-type", "")],
        [("content-type", "text/plain; application/json")],
        [],
    ]  # fmt: skip


def foreign_post(trial: Trial) -> None:
    fort = fort_of(trial)
    daemon = fort.daemon
    before = [daemon.get(path) for path in ("/api/review-config", "/review/api/sessions")]
    unsafe = [(method, path) for method, path in routes() if method not in ("GET", "HEAD")]
    assert len(unsafe) >= 12
    body = json.dumps(
        BODY | {"forced_mode": "cloud", "taskId": "t", "summary": "s", "cwd": str(fort.project)}
    )
    for method, path in unsafe:
        for headers in foreign_pages(daemon.port):
            found = asks(daemon, method, path, headers, body.encode())
            refused = found.status in (400, 403, 415)
            trial.hold(Promise.CROSS_SITE, refused, f"{method} {path} {headers}: {found}")
            trial.tried()
        for name in ("x-http-method-override", "x-method-override", "x-http-method"):
            found = asks(daemon, "GET", path, [(name, method), ("origin", EVIL)])
            trial.hold(Promise.CROSS_SITE, found.status in (403, 405), f"{path} {name}: {found}")
    assert (fort.asked(), fort.services.changes()) == ([], [])
    assert [daemon.get(path) for path in ("/api/review-config", "/review/api/sessions")] == before
    own = f"http://localhost:{daemon.port}"
    ours: dict[str, Any] = {
        "origin": own,
        "host": f"localhost:{daemon.port}",
        "sec_fetch_site": "same-origin",
    }
    assert daemon.send("POST", "/api/review-config", {"forced_mode": "auto"}, **ours).status == 200
    trial.figure("shapes on each route", len(foreign_pages(daemon.port)))


def foreign_get(trial: Trial) -> None:
    fort = fort_of(trial)
    daemon = fort.daemon
    for method, path in routes():
        if method != "GET":
            continue
        for dest in ("script", "image", "style", "iframe", "empty", "embed"):
            for site in ("cross-site", "same-site"):
                headers = [("sec-fetch-site", site), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", dest)]
                found = asks(daemon, "GET", path, headers)
                trial.hold(
                    Promise.CROSS_SITE, found.status == 403, f"{path} as {dest} of a {site} page: {found}"
                )
                trial.tried()
        # What a browser without those headers, or a page that got so far, could make of the answer: nothing.
        _unreadable(trial, path, asks(daemon, "GET", path, []))
        preflight = [("origin", EVIL), ("access-control-request-method", "POST"),
                     ("access-control-request-private-network", "true")]  # fmt: skip
        found = asks(daemon, "OPTIONS", path, preflight)
        trial.hold(Promise.CROSS_SITE, found.status == 403 and not _opens(found), f"OPTIONS {path}: {found}")
    link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]
    assert asks(daemon, "GET", "/", link).status == 200


def _unreadable(trial: Trial, path: str, found: Answer) -> None:
    headers = found.headers
    safe = headers.get("x-content-type-options") == "nosniff"
    safe = safe and headers.get("cross-origin-resource-policy") == "same-origin" and not _opens(found)
    page = path.startswith(PAGES) and "html" in headers.get("content-type", "")
    code = "html" in headers.get("content-type", "") and not page
    trial.hold(Promise.CROSS_SITE, safe and not code, f"GET {path}: {headers}")


def _opens(found: Answer) -> bool:
    return any(name.startswith("access-control-") for name in found.headers)


def spending(trial: Trial) -> None:
    fort = fort_of(trial)
    daemon = fort.daemon
    for way in WAYS:
        for headers in foreign_pages(daemon.port):
            found = asks(daemon, "POST", way.path, headers, json.dumps(way.body("cloud", "spend")).encode())
            refused = found.status in (400, 403, 415)
            trial.hold(Promise.CROSS_SITE, refused, f"{way} {headers}: {found}")
            trial.tried()
    assert fort.asked() == []
    for way in WAYS:
        assert way.ask(daemon, "cloud", "a harness asks").text == APPROVES


def operating(trial: Trial) -> None:
    fort = fort_of(trial)
    daemon, own = fort.daemon, [("content-type", "application/json"), ("sec-fetch-site", "same-origin")]
    right = fort.token()
    wrong = ["", "x", right[:-1], right + "x", right.swapcase(), "\xe9" * 43, "null", f"Bearer {right}"]
    begin = [
        (method, path) for method, path in routes() if path.startswith(("/api/restart/", "/api/upgrade/"))
    ]
    assert len(begin) >= 2
    for method, path in begin:
        for token in wrong:
            found = asks(daemon, method, path, [*own, ("x-brainrouter-token", token)], b"{}")
            trial.hold(Promise.CROSS_SITE, found.status == 403, f"{path} with {token!r}: {found}")
            trial.tried()
        stolen = [("x-brainrouter-token", right), ("content-type", "application/json"), ("origin", EVIL)]
        trial.hold(Promise.CROSS_SITE, asks(daemon, method, path, stolen, b"{}").status == 403, path)
        found = asks(daemon, method, f"{path}?token={right}", own, b"{}")
        trial.hold(Promise.CROSS_SITE, found.status == 403, "a token in the query")
    assert fort.services.changes() == []
    assert right not in json.dumps([daemon.health(), daemon.events(), daemon.get("/api/operations")])
    begun = asks(daemon, "POST", "/api/restart/llama-swap", [*own, ("x-brainrouter-token", right)], b"{}")
    assert begun.status == 202
    eventually(lambda: fort.services.changes() == [["systemctl", "--user", "restart", "llama-swap.service"]])
    again = asks(daemon, "POST", "/api/restart/llama-swap", [*own, ("x-brainrouter-token", right)], b"{}")
    assert again.status in (409, 429)


def framing(trial: Trial) -> None:
    daemon = fort_of(trial).daemon
    for _, path in routes():
        found = asks(daemon, "GET", path, [])
        if "html" not in found.headers.get("content-type", ""):
            continue
        policy = found.headers["content-security-policy"]
        for word in ("frame-ancestors 'none'", "base-uri 'none'", "form-action", "default-src 'none'"):
            trial.hold(Promise.CROSS_SITE, word in policy, f"{path}: {policy}")
        trial.hold(Promise.CROSS_SITE, "unsafe" not in policy and "*" not in policy, policy)
        for dest in ("iframe", "frame", "object", "embed"):
            framed = [
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", dest),
            ]
            trial.hold(
                Promise.CROSS_SITE, asks(daemon, "GET", path, framed).status == 403, f"{path} in {dest}"
            )
        trial.tried()


HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', '" onmouseover="alert(1)', "</script><svg onload=alert(1)>",
    "javascript:alert(1)", "{{constructor.constructor('alert(1)')()}}", "\u2028alert(1)\u2029", "]]><script>alert(1)</script>",
]  # fmt: skip
BODY: dict[str, Any] = {
    "model": "cloud",
    "messages": [{"role": "user", "content": "x"}],
    "input": "x",
    "max_tokens": 9,
}


def hostile_text(trial: Trial) -> None:
    """Text of others in answers of ours: never in a page, never as anything that a browser runs."""
    fort = fort_of(trial)
    repo = fort.repository("hostile-text")
    for payload in HOSTILE:
        _seed(fort, payload, repo.as_posix())
        trial.tried()
    daemon = fort.daemon
    session = daemon.get("/review/api/sessions")["sessions"][0]["id"]
    for path in (
        "/health", "/api/routing-events?limit=500", "/api/routing-stats", "/api/inference-status", "/metrics",
        "/api/service-health", "/review/api/sessions", f"/review/api/sessions/{session}", "/api/events", "/v1/models",
        f"/{HOSTILE[0]}".replace(" ", "%20"), f"/v1/models/{HOSTILE[0]}", f"/api/history?hours={HOSTILE[0]}",
    ):  # fmt: skip
        found = asks(daemon, "GET", path, [])
        kind = found.headers["content-type"].split(";")[0]
        inert = kind in ("application/json", "text/event-stream", "text/plain")
        nosniff = found.headers["x-content-type-options"] == "nosniff"
        trial.hold(Promise.CROSS_SITE, inert and nosniff, f"{path}: {found.headers}")
    for path in ("/", "/review/", f"/review/session/{session}"):
        text = daemon.send("GET", path).body.decode()
        trial.hold(Promise.CROSS_SITE, "alert(1)" not in text, f"text of others in {path}")


def _seed(fort: Fort, payload: str, cwd: str) -> None:
    """Put it where the dashboard shows something: prompt, model, client, error, task, summary, feedback."""
    daemon = fort.daemon
    plain = payload.encode("ascii", "replace").decode()
    for sim in fort.sims:
        sim.script({"do": "raw", "status": 400, "body": {"error": {"message": payload}}, "headers": {}})
    daemon.send("POST", "/v1/chat/completions", BODY | {"model": payload}, user_agent=plain)
    daemon.send(
        "POST", "/v1/chat/completions", {"model": "cloud", "messages": [{"role": "user", "content": payload}]}
    )
    for sim in fort.sims:
        sim.script(answer(f"STATUS: needs_revision\nFINDING: a.py\nQUOTE: return b + a\nWHY: {payload}"))
    task = plain.replace("?", "x")[:80]
    found = fort.review(task, cwd, summary=payload, details=payload)
    assert found.status == 200, found


ROWS = (
    Row("A1", "a page whose name was made to point here (DNS rebinding)", "421 for every name but three, on every route", "quick", rebinding, 240.0),
    Row("A2", "a page posts: forms, fetch, other ports, `null`, method overrides", "403 or 415 on every route that changes something; nothing happened", "quick", foreign_post, 120.0),
    Row("A3", "a page reads: scripts, images, frames, preflights", "403; no CORS header; nothing that a browser would run", "quick", foreign_get),
    Row("A4", "a page spends the user's quota on /v1/*", "403 or 415; the cloud is not asked; harnesses are served", "quick", spending),
    Row("A5", "a page restarts or upgrades services", "403 without the token of this start, and with it from elsewhere", "quick", operating),
    Row("A6", "a page frames ours", "`frame-ancestors 'none'`, and 403 to frames of others", "quick", framing),
    Row("A7", "prompts, names and answers that are HTML or script", "only in JSON that no browser runs; in a real browser: tests/e2e/test_hostile_text.py", "quick", hostile_text),
)  # fmt: skip
