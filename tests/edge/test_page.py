"""The dashboard's page: served from the package under a strict policy, to a person and to nobody else."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from brainrouter.edge.http.page import FILES, POLICY, Page
from brainrouter.http1.message import Headers, Peer, Request
from tests.daemon import Answer, Daemon

PAGES = ["/", "/review/", "/review/session/3f0c1d7e-0000-4000-8000-000000000000"]
LINK: dict[str, Any] = {
    "sec_fetch_site": "cross-site",
    "sec_fetch_mode": "navigate",
    "sec_fetch_dest": "document",
}


def parts(answer: Answer) -> list[str]:
    return re.findall(r'(?:src|href)="([^"]+)"', answer.body.decode())


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_the_application_under_a_strict_policy(daemon: Daemon, path: str) -> None:
    found = daemon.send("GET", path)
    assert (found.status, found.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert found.headers["content-security-policy"] == POLICY
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in found.headers


def test_the_page_names_only_files_of_its_own_and_holds_no_code(daemon: Daemon) -> None:
    page = daemon.send("GET", "/")
    names = parts(page)
    assert len(names) >= 3
    assert all(name.startswith("/page/") for name in names)
    text = page.body.decode()
    assert re.findall(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", text) == []


def test_each_part_is_kept_for_ever_and_confirmed_by_its_tag(daemon: Daemon) -> None:
    for name in parts(daemon.send("GET", "/")):
        found = daemon.send("GET", name)
        assert (found.status, "immutable" in found.headers["cache-control"]) == (200, True)
        again = daemon.send("GET", name, if_none_match=found.headers["etag"])
        assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "name", ["x.js", "../page.py", "%2e%2e/page.py", "index.html", "..%2f..%2fconfig.py"]
)
def test_nothing_but_the_built_files_is_served(daemon: Daemon, name: str) -> None:
    assert daemon.send("GET", f"/page/{name}").status == 404


def test_the_built_files_ask_nobody_else() -> None:
    for part in (FILES / "page").iterdir():
        text = part.read_text(encoding="utf-8")
        found = re.findall(r"https?://[\w.-]+", text)
        # Names of XML languages, and pages that an error message of the framework would point to.
        assert set(found) <= {"http://www.w3.org", "https://svelte.dev"}, part.name


@pytest.mark.parametrize("path", PAGES)
def test_a_link_on_another_site_opens_the_page(daemon: Daemon, path: str) -> None:
    assert daemon.send("GET", path, **LINK).status == 200


@pytest.mark.parametrize("path", ["/api/events", "/health", "/review/api/sessions", "/v1/models"])
def test_a_link_on_another_site_opens_nothing_else(daemon: Daemon, path: str) -> None:
    assert daemon.send("GET", path, **LINK).status == 403


@pytest.mark.parametrize(
    "change", [{"sec_fetch_dest": "iframe"}, {"sec_fetch_mode": "no-cors"}, {"origin": "null"}]
)
def test_another_site_cannot_read_or_frame_the_page(daemon: Daemon, change: dict[str, Any]) -> None:
    assert daemon.send("GET", "/", **(LINK | change)).status == 403


def test_the_page_carries_the_token_of_this_start(daemon: Daemon) -> None:
    tokens = {
        re.search(r'brainrouter-token" content="([\w-]{40,})"', daemon.send("GET", path).body.decode())
        for path in PAGES
    }
    assert None not in tokens
    assert len({match.group(1) for match in tokens if match}) == 1


def test_a_package_without_a_built_page_says_so_plainly(tmp_path: Path) -> None:
    request = Request("GET", "/", "", Headers([]), b"", Peer("tcp", "", 0, None, ("", 0)))
    reply = asyncio.run(Page("t", tmp_path).index(request))
    assert reply.status == 503
    assert b"make setup" in reply.body  # type: ignore[union-attr]
