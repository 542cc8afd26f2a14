"""Who may talk to us over TCP."""

from __future__ import annotations

import pytest

from brainrouter.policy.origin import Refusal, refusal

PORT = 9099
JSON = {"content-type": "application/json"}


def asked(
    method: str = "GET", host: str | None = f"127.0.0.1:{PORT}", *, body: bool = False, **headers: str
) -> int:
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    if host is not None:
        lines["host"] = host
    found: Refusal | None = refusal(method, lines.get, PORT, has_body=body)
    return 200 if found is None else found.status


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9099", "localhost:9099", "[::1]:9099", "LOCALHOST:9099", "LocalHost:9099"]
)
def test_our_own_names_are_served(host: str) -> None:
    assert asked(host=host) == 200
    assert asked("POST", host, body=True, content_type="application/json") == 200


@pytest.mark.parametrize(
    "host",
    [
        None, "", " ", ":", ":9099", "evil.example", "evil.example:9099", "127.0.0.1.nip.example:9099",
        "localhost.evil:9099", "evil-localhost:9099", "localhost", "127.0.0.1", "[::1]", "localhost:1", "127.0.0.1:80",
        "127.0.0.1:90990", "127.0.0.1:09099", "127.0.0.1:+9099", "127.0.0.1: 9099", "127.0.0.1:9099 ", "localhost:",
        "0.0.0.0:9099", "0:9099", "127.1:9099", "127.0.0.2:9099", "2130706433:9099", "0x7f.1:9099", "0177.0.0.1:9099",
        "[::]:9099", "[::ffff:127.0.0.1]:9099", "[0:0:0:0:0:0:0:1]:9099", "[::1%25lo]:9099", "::1:9099", "localhost.:9099",
        "user@localhost:9099", "localhost:9099@evil.example", "localhost:9099,evil.example", "localhost:9099/..",
        "a/b?", "http://localhost:9099", "localhost:9099:9099", "\u0131ocalhost:9099", "xn--localhost:9099",
    ],
)  # fmt: skip
def test_every_other_name_is_misdirected(host: str | None) -> None:
    assert asked(host=host) == 421
    assert asked("POST", host, body=True, content_type="application/json") == 421


def test_the_default_port_may_go_unsaid() -> None:
    assert refusal("GET", {"host": "localhost"}.get, 80, has_body=False) is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize(
    "browser",
    [
        {"origin": "null"},
        {"origin": "https://evil.example"},
        {"origin": "http://evil.example:9099"},
        {"origin": "http://localhost:3000"},
        {"origin": "https://localhost:9099"},
        {"origin": "https://127.0.0.1:9099"},
        {"origin": "http://localhost"},
        {"origin": ""},
        {"origin": "file://"},
        {"origin": "http://localhost:9099.evil.example"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "weird"},
        {"sec_fetch_site": "cross-site", "origin": f"http://localhost:{PORT}"},
        {"sec_fetch_site": "same-origin", "origin": "https://evil.example"},
        {"origin": "null", "referer": f"http://localhost:{PORT}/"},
        {"origin": "https://evil.example", "x_http_method_override": "GET"},
    ],
)
def test_no_other_web_page_may_ask_anything(method: str, browser: dict[str, str]) -> None:
    headers = {"host": f"127.0.0.1:{PORT}", "content-type": "application/json"}
    headers |= {name.replace("_", "-"): value for name, value in browser.items()}
    found = refusal(method, headers.get, PORT, has_body=True)
    assert found is not None
    assert found.status == 403


@pytest.mark.parametrize(
    "browser",
    [
        {},
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
        {"origin": f"http://localhost:{PORT}"},
        {"origin": f"http://127.0.0.1:{PORT}"},
        {"origin": f"http://[::1]:{PORT}", "sec_fetch_site": "same-origin"},
        {"referer": "https://evil.example/"},
    ],
)
def test_our_own_page_and_programs_without_browser_headers_may(browser: dict[str, str]) -> None:
    headers = {"host": f"127.0.0.1:{PORT}", "content-type": "application/json; charset=utf-8"}
    headers |= {name.replace("_", "-"): value for name, value in browser.items()}
    assert refusal("GET", headers.get, PORT, has_body=False) is None
    assert refusal("POST", headers.get, PORT, has_body=True) is None


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
        "application/jsonp",
        "*/*",
    ],
)
def test_what_changes_something_must_be_json(kind: str) -> None:
    assert asked("POST", body=True, content_type=kind) == 415
    assert asked("POST", body=True) == 415


def test_a_read_and_an_empty_post_need_no_content_type() -> None:
    assert asked("GET", body=True) == 200
    assert asked("POST") == 200


def test_the_host_is_looked_at_before_anything_else() -> None:
    assert asked("POST", "evil.example", body=True, origin="https://evil.example") == 421
    assert asked("POST", body=True, origin="https://evil.example", content_type="text/plain") == 403
