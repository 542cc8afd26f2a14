"""Text that would be code: shown as text in every field of every panel, with no dialog and no break of the policy."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Open, World
from tests.repos import write
from tests.sim.scripts import answer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

PAYLOADS = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "'><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x="',
    "' onfocus='alert(1)' autofocus='",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    '<iframe src="javascript:alert(1)"></iframe>',
    '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
    "javascript:alert(1)",
    '<a href="javascript:alert(1)" id=x>x</a>',
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<math><mtext><script>alert(1)</script></mtext></math>",
    '<object data="data:text/html,<script>alert(1)</script>">',
    '<embed src="data:text/html,<script>alert(1)</script>">',
    '<link rel=stylesheet href="//evil.example/x.css">',
    "<style>@import '//evil.example/x.css';</style>",
    '<div style="background:url(//evil.example/x.png)">',
    '<base href="//evil.example/">',
    '<form action="//evil.example/"><button autofocus>x</button></form>',
    "<meta http-equiv=refresh content='0;url=//evil.example/'>",
    "{@html '<img src=x onerror=alert(1)>'}",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}`${alert(1)}`",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "\u202e<img src=x onerror=alert(1)>\u2028\ufeff",
]
SEND = """
import http.client, json, sys
port, body = int(sys.argv[1]), sys.argv[2]
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
headers = {"content-type": "application/json", "user-agent": sys.argv[3]}
connection.request("POST", "/v1/chat/completions", body, headers)
connection.getresponse().read()
"""


def test_a_request_may_say_what_it_likes(show: Open, world: World) -> None:
    """Prompt, name of the model, client, folder, error of the cloud; in the flow, the feed, the drawer, the charts."""
    home = world.daemon.home / "hostile"
    for number, payload in enumerate(PAYLOADS):
        folder = home / payload.replace("/", "\u2215")[:80]
        folder.mkdir(parents=True, exist_ok=True)
        failure = {"provider_error": {"status": 503, "form": "old", "message": payload}}
        world.manifest.script(failure)
        world.llama_swap.script({"error": "start_failed"} if number % 2 else answer(payload))
        body = {"model": payload, "messages": [{"role": "user", "content": payload}]}
        agent = payload.encode("ascii", "replace").decode()
        subprocess.run(
            [sys.executable, "-c", SEND, str(world.daemon.port), json.dumps(body), agent],
            cwd=folder,
            check=True,
        )
    page = show()
    feed = page.get_by_label("Routing feed")
    for payload in PAYLOADS[:4]:
        expect(feed.get_by_role("button", name=payload, exact=True).first).to_be_visible()
    assert page.locator("tbody tr").count() >= 28
    for row in range(28):
        page.locator("tbody tr button.open").nth(row).click()
        expect(page.get_by_role("dialog").locator("blockquote")).to_be_visible()
        page.locator("dialog .sheet *").first.hover()
        page.keyboard.press("Escape")
    page.get_by_label("Folder").select_option(index=1)
    _nothing_was_made(page)


def test_a_review_may_say_what_it_likes(show: Open, world: World) -> None:
    """Task, summary, details, history, what is reviewed, its file's name, the reviewer's words, the person's feedback."""
    world.daemon.send("POST", "/api/review-config", {"max_iterations": 1})
    sessions: list[str] = []
    for number, payload in enumerate(PAYLOADS):
        name = f"f{number}{payload[:40].replace('/', '')}.py" if number % 3 == 0 else "a.py"
        write(world.project, {name: f"# {payload}\n"})
        says = f"STATUS: needs_revision\nFINDING: {name}\nQUOTE: # {payload}\nWHY: {payload}"
        for sim in (world.manifest, world.llama_swap):
            sim.script(answer(says))
        fields = {"details": payload, "conversationHistory": [payload]}
        task = f"{payload[:80]} {number}".replace("\u2028", "").replace("\u202e", "").replace("\ufeff", "")
        sent = {"taskId": task, "summary": payload, "cwd": str(world.project), **fields}
        found = world.daemon.send("POST", "/review/api/request", sent)
        assert found.status == 200, found
        sessions.append(found.json()["sessionId"])
        world.daemon.send("POST", f"/review/session/{sessions[-1]}/resolve", {"feedback": payload})
        (world.project / name).unlink()
    page = show("/review/")
    expect(page.locator("tbody tr").first).to_be_visible()
    assert page.locator("tbody tr").count() >= len(PAYLOADS)
    _nothing_was_made(page)
    for session in sessions[::3] + sessions[-2:]:
        page.goto(f"{world.daemon.base_url}/review/session/{session}")
        expect(page.get_by_label("Conversation").locator("li").first).to_be_visible()
        for summary in page.locator("main summary").all():
            summary.click()
        _nothing_was_made(page)


def _nothing_was_made(page: Page) -> None:
    """No element that only a payload would bring, no attribute that is code."""
    found = page.evaluate(
        """() => [...document.querySelectorAll('#app *')].filter((one) =>
          /^(SCRIPT|IFRAME|OBJECT|EMBED|BASE|META|LINK|STYLE|VIDEO|FORM|MATH)$/i.test(one.tagName) ||
          [...one.attributes].some((at) => /^on/i.test(at.name) || /^javascript:/i.test(at.value) && at.name === 'href')
        ).map((one) => one.outerHTML.slice(0, 200))"""
    )
    assert found == []
