"""The pictures in docs/screenshots, of a mixed session as it is seen; written when BRAINROUTER_SCREENSHOTS is set."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Open, World
from tests.repos import write
from tests.sim.handle import ROOT
from tests.sim.scripts import answer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

ASKED = [
    ("claude-cli/2.4.1", "cloud", "Find the deadlock: two workers hold each other's lock in the scheduler"),
    ("opencode/1.9", "local", "Write a docstring for ledger.balance()"),
    ("codex_cli_rs/0.77", "cloud", "Move the session store to SQLite and keep reading the old one"),
    ("claude-cli/2.4.1", "local", "Summarise this conversation in a short title"),
    ("Mistral-Vibe/1.3", "local", "Rename parse_row to read_row everywhere"),
    ("opencode/1.9", "cloud", "Why does the nightly job fail only on Sundays? The log is below"),
    ("claude-cli/2.4.1", "local", "Add a retry with backoff to the upload client and cover it with tests"),
]
SAID = "STATUS: needs_revision\nFINDING: upload.py\nQUOTE:     return send(data)\nWHY: one failed send still loses the file; try it again with a growing pause"
BEFORE = "def upload(data):\n    return send(data)\n"
AFTER = "def upload(data, tries=3):\n    for _ in range(tries):\n        if send(data):\n            return True\n    return send(data)\n"


def keep(page: Page, name: str, *, whole: bool = False) -> None:
    folder = os.environ.get("BRAINROUTER_SCREENSHOTS")
    if folder:
        path = (ROOT / folder / f"{name}.png").resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=path, full_page=whole)


def send(world: World, agent: str, model: str, text: str, tokens: int) -> None:
    usage = {"input": 900 + tokens * 7, "output": tokens}
    script = answer("word " * 12, gap_s=0.01 * (tokens % 7), latency_s=0.05 * (tokens % 5), usage=usage)
    (world.manifest if model == "cloud" else world.llama_swap).queue(script)
    body: dict[str, Any] = {"model": model, "stream": True, "stream_options": {"include_usage": True}}
    body["messages"] = [{"role": "user", "content": text}]
    assert world.daemon.send("POST", "/v1/chat/completions", body, user_agent=agent).status == 200


def mixed_session(world: World) -> None:
    for turn in range(3):
        for number, (agent, model, text) in enumerate(ASKED):
            send(
                world,
                agent,
                model,
                text if turn == 2 else f"{text} ({turn + 1})",
                40 + 23 * number + 11 * turn,
            )
    for _ in range(3):
        send(world, "opencode/1.9", "local", "Count what is left in the plan", 20)
    os.chdir("/srv")
    world.manifest.queue(
        {"provider_error": {"status": 503, "form": "old", "message": "the provider is overloaded"}}
    )
    world.daemon.send(
        "POST",
        "/v1/chat/completions",
        {
            "model": "cloud",
            "messages": [{"role": "user", "content": "Design the migration to the new billing API"}],
        },
        user_agent="codex_cli_rs/0.77",
    )


def test_the_pictures_show_a_mixed_session(show: Open, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.project)  # the folder that the requests come from
    world.daemon.send("POST", "/api/review-config", {"max_iterations": 2})
    write(world.project, {"upload.py": BEFORE})
    for sim in (world.manifest, world.llama_swap):
        sim.script(answer(SAID))
    world.review(
        "feature-20261123-001", summary="Uploads are tried again; the pause between two tries grows."
    )
    write(world.project, {"upload.py": AFTER})
    reviewed = world.review("feature-20261123-001", summary="Uploads are tried three times before they fail.")
    mixed_session(world)
    world.llama_swap.queue(answer("word " * 400, gap_s=0.04, usage={"input": 2400, "output": 400}))
    body: dict[str, Any] = {"model": "qwen3-coder-30b", "stream": True}
    body["messages"] = [
        {"role": "user", "content": "Draft the release notes for 0.4 from the merged changes"}
    ]
    running = threading.Thread(
        target=world.daemon.send,
        args=("POST", "/v1/chat/completions", body),
        kwargs={"user_agent": "claude-cli/2.4.1"},
    )
    running.start()
    for name, scheme, width, height in (("light", "light", 1440, 1020), ("dark", "dark", 1440, 1020)):
        page = show(scheme=scheme, width=width, height=height)
        expect(page.get_by_label("Versions")).to_contain_text("v250")
        expect(page.get_by_role("region", name="Newest request")).to_contain_text("tokens/s")
        expect(page.get_by_label("Charts").locator("canvas")).to_have_count(3)
        keep(page, name)
        page.close()
    phone = show(width=390, height=844)
    expect(phone.get_by_label("Routing feed")).to_contain_text("Design the migration")
    keep(phone, "phone")
    running.join(60)
    page = show(f"/review/session/{reviewed['sessionId']}", width=1280, height=900)
    expect(page.get_by_role("heading", name="Resolve")).to_be_visible()
    keep(page, "review")
    page = show(width=1280, height=900)
    page.locator("tbody tr", has_text="Design the migration").get_by_role("button").click()
    expect(page.get_by_role("dialog")).to_contain_text("overloaded")
    keep(page, "why")
