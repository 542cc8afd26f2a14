"""Each panel, with live data, in a real browser."""

from __future__ import annotations

import threading

import pytest
from playwright.sync_api import Browser, expect

from tests.daemon import Daemon, eventually
from tests.e2e.conftest import Open, World
from tests.repos import write
from tests.sim.scripts import answer, status

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

OBJECTS = "STATUS: needs_revision\nFINDING: a.py\nQUOTE: return a - b\nWHY: it subtracts; add instead"


def test_the_first_page_says_what_to_do_when_nothing_has_happened(browser: Browser) -> None:
    with Daemon() as daemon, browser.new_context() as context:
        page = context.new_page()
        page.goto(daemon.base_url)
        expect(page.get_by_role("region", name="Newest request")).to_contain_text("/v1")
        expect(page.get_by_label("Routing feed")).to_contain_text("No requests yet")


def test_a_request_is_followed_from_the_harness_to_its_last_token(show: Open, world: World) -> None:
    page = show()
    flow = page.get_by_role("region", name="Newest request")
    world.llama_swap.queue(
        answer(
            " ".join(["word"] * 30),
            load_gate="load",
            latency_s=2.5,
            gap_s=0.03,
            cut={"after": 20, "how": "gate"},
        )
    )
    asking = threading.Thread(
        target=world.daemon.chat, args=("qwen3-coder-30b", "Write the release notes"), kwargs={"stream": True}
    )
    asking.start()
    expect(flow).to_contain_text("Write the release notes")
    expect(flow).to_contain_text("Loading the model")
    expect(flow.get_by_role("progressbar")).to_have_attribute("aria-valuetext", "Loading the model")
    world.llama_swap.release("load")
    expect(flow).to_contain_text("Reading the prompt")
    expect(flow).to_contain_text("tokens/s")
    world.llama_swap.release()
    asking.join(15)
    expect(flow.get_by_role("progressbar")).to_have_attribute("aria-valuetext", "done")
    expect(flow).to_contain_text("qwen3-coder-30b")
    expect(flow).to_contain_text("first byte")


def test_a_fallback_is_marked_and_its_reason_is_told(show: Open, world: World) -> None:
    page = show()
    world.manifest.queue({"provider_error": {"status": 503, "form": "old", "message": "overloaded"}})
    world.daemon.chat("cloud", "Find the deadlock")
    row = page.locator("tbody tr", has_text="Find the deadlock")
    expect(row).to_contain_text("fallback: cloud failed")
    expect(row.get_by_label("fallback: cloud failed")).to_be_visible()
    row.get_by_role("button").click()
    drawer = page.get_by_role("dialog", name="Why did this go there?")
    expect(drawer).to_contain_text("in place of the cloud")
    expect(drawer).to_contain_text("overloaded")


def test_identical_requests_within_half_a_minute_are_one_row(show: Open, world: World) -> None:
    page = show()
    for _ in range(4):
        world.daemon.chat("local", "Count the tokens")
    row = page.locator("tbody tr", has_text="Count the tokens")
    expect(row).to_contain_text("×4")
    expect(row).to_have_count(1)
    total = sum(
        event["total_ms"] for event in world.daemon.events() if event["prompt_excerpt"] == "Count the tokens"
    )
    shown = f"{total:.1f} ms" if total < 10 else f"{total:.0f} ms"
    expect(row).to_contain_text(shown)
    row.click()
    expect(page.get_by_role("dialog")).to_contain_text("4 requests in this row")
    world.daemon.chat("local", "Count the tokens twice")
    expect(page.locator("tbody tr", has_text="Count the tokens")).to_have_count(2)


def test_the_rounds_of_a_review_are_one_row(show: Open, world: World) -> None:
    write(world.project, {"a.py": "def add(a, b):\n    return a - b\n"})
    for sim in (world.manifest, world.llama_swap):
        sim.script(answer(OBJECTS))
    page = show()
    expect(page.get_by_label("Versions")).to_contain_text("v250")  # the page has its first snapshot
    before = page.locator("tbody tr", has_text="iter ").count()
    world.review("feature-1")
    write(world.project, {"a.py": "def add(a, b):\n    return a - b  # still\n"})
    world.review("feature-1")
    expect(page.locator("tbody tr", has_text="iter 2")).to_have_count(1)
    expect(page.locator("tbody tr", has_text="iter ")).to_have_count(before + 1)


def test_the_feed_is_filtered_by_side_folder_and_words(show: Open, world: World) -> None:
    world.daemon.chat("local", "a small thing")
    world.daemon.chat("cloud", "a hard thing")
    page = show()
    feed = page.get_by_label("Routing feed")
    expect(feed).to_contain_text("a small thing")
    feed.get_by_role("button", name="Cloud").click()
    expect(feed).not_to_contain_text("a small thing")
    expect(feed).to_contain_text("a hard thing")
    feed.get_by_role("button", name="All", exact=True).click()
    feed.get_by_role("searchbox").fill("SMALL")
    expect(feed).to_contain_text("a small thing")
    expect(feed).not_to_contain_text("a hard thing")
    feed.get_by_role("searchbox").fill("nowhere")
    expect(feed).to_contain_text("Nothing fits these filters")


def test_the_drawer_is_reached_and_left_by_keyboard(show: Open, world: World) -> None:
    for text in ("first by keyboard", "second by keyboard"):
        world.daemon.chat("local", text)
    page = show()
    newest = page.get_by_role("button", name="second by keyboard")
    newest.focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name="first by keyboard")).to_be_focused()
    page.keyboard.press("Enter")
    drawer = page.get_by_role("dialog", name="Why did this go there?")
    expect(drawer).to_contain_text("asked for local")
    expect(drawer).to_contain_text("explicit")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(page.get_by_role("button", name="first by keyboard")).to_be_focused()


def test_a_conversation_is_kept_local_from_its_drawer(show: Open, world: World) -> None:
    def say(text: str) -> str | None:
        body = {"model": "cloud", "messages": [{"role": "user", "content": text}]}
        return world.daemon.send("POST", "/v1/chat/completions", body, x_session_id="kept").side

    assert say("before it is kept") == "cloud"
    page = show()
    page.get_by_role("button", name="before it is kept").click()
    choice = page.get_by_role("group", name="Where it is answered")
    expect(choice.get_by_role("button", name="Automatic")).to_have_attribute("aria-pressed", "true")
    choice.get_by_role("button", name="Stay local").click()
    expect(choice.get_by_role("button", name="Stay local")).to_have_attribute("aria-pressed", "true")
    assert say("after it was kept") == "local"
    expect(page.locator("tbody tr", has_text="after it was kept")).to_contain_text(
        "asked for local by the dashboard"
    )
    expect(choice.get_by_role("button", name="Stay local")).to_have_attribute("aria-pressed", "true")
    choice.get_by_role("button", name="Automatic").click()
    expect(choice.get_by_role("button", name="Automatic")).to_have_attribute("aria-pressed", "true")
    assert say("after it was let go") == "cloud"


def test_the_charts_count_what_happened(show: Open, world: World) -> None:
    page = show()
    charts = page.get_by_label("Charts")
    for number in range(3):
        world.daemon.chat("local", f"for the charts {number}")
    eventually(lambda: charts.locator("dd").first.text_content() == str(_requests(world)))
    assert _requests(world) >= 3
    expect(charts.locator("canvas")).to_have_count(3)
    expect(charts).to_contain_text("asked for local")
    expect(charts).to_contain_text("Money kept local: about $")
    charts.get_by_role("button", name="7 d").click()
    expect(charts.locator("canvas")).to_have_count(3)


def _requests(world: World) -> int:
    return world.daemon.get("/api/history?hours=1")["requests"]


def test_the_header_tells_versions_and_health(show: Open) -> None:
    page = show()
    versions = page.get_by_label("Versions")
    for text in ("v250", "b6123", "2026-08-14 · abababa", "42"):
        expect(versions).to_contain_text(text)
    expect(versions.get_by_role("button", name="llama-swap → v251")).to_be_visible()
    dots = page.get_by_role("list", name="Services")
    expect(dots).to_contain_text("Cloud healthy")
    expect(dots).to_contain_text("Classifier off")


def test_a_service_is_restarted_after_a_confirmation_and_its_steps_are_shown(
    show: Open, world: World
) -> None:
    page = show()
    page.get_by_role("button", name="Restart llama-swap").click()
    dialog = page.get_by_role("dialog", name="Restart llama-swap?")
    expect(dialog).to_contain_text("systemctl --user restart llama-swap.service")
    assert world.services.calls("systemctl", "--user", "restart") == []
    dialog.get_by_role("button", name="Restart").click()
    expect(dialog).to_contain_text("llama-swap was restarted.")
    assert len(world.services.calls("systemctl", "--user", "restart")) == 1


def test_an_upgrade_streams_its_steps_and_ends_with_a_result(show: Open, world: World) -> None:
    page = show()
    page.get_by_role("button", name="Manifest → 2026-11-02 · 2222222").click()
    dialog = page.get_by_role("dialog", name="Upgrade Manifest")
    dialog.get_by_role("button", name="Upgrade").click()
    expect(dialog).to_contain_text("Container manifest  pull")
    expect(dialog).to_contain_text("Manifest was upgraded.")


def test_an_action_that_is_not_possible_here_says_what_would_make_it_so(show: Open) -> None:
    page = show()
    expect(page.get_by_label("Versions")).to_contain_text("v250")
    page.get_by_role("button", name="Restart llama.cpp").click()
    dialog = page.get_by_role("dialog", name="Restart llama.cpp?")
    expect(dialog).to_contain_text("Set ops.llama_cpp_restart")
    expect(dialog.get_by_role("button", name="Restart", exact=True)).to_have_count(0)


def test_the_page_comes_back_by_itself_after_brainrouter_was_restarted(show: Open, world: World) -> None:
    page = show()
    started = world.daemon.health()["started"]
    expect(page.get_by_label("Versions")).to_contain_text("brainrouter")
    page.get_by_role("button", name="Restart brainrouter").click()
    with page.expect_event("load", timeout=30_000):
        page.get_by_role("dialog").get_by_role("button", name="Restart", exact=True).click()
    assert world.daemon.health()["started"] > started
    world.daemon.chat("local", "after the restart")
    expect(page.get_by_label("Routing feed")).to_contain_text("after the restart")


def test_a_resting_cloud_is_told_in_a_banner(show: Open, world: World) -> None:
    page = show()
    world.manifest.script(status(503, retry_after="8"))
    for number in range(3):
        world.daemon.chat("cloud", f"nobody there {number}")
    banner = page.get_by_role("status").filter(has_text="Cloud fallback")
    expect(banner).to_contain_text("local models answer in its place")
    expect(page.get_by_role("list", name="Services")).to_contain_text("Cloud unhealthy")


def test_review_settings_take_effect_at_once(show: Open, world: World) -> None:
    page = show("/review/")
    page.get_by_text("Review settings").click()
    page.get_by_role("button", name="Force local").click()
    page.get_by_label("Local model").select_option("qwen3-coder-30b")
    expect(page.get_by_text("Saved; in effect from the next round.")).to_be_visible()

    def saved() -> bool:
        config = world.daemon.get("/api/review-config")
        return (config["forced_mode"], config["forced_model"]) == ("local", "qwen3-coder-30b")

    eventually(saved)
    page.reload()
    page.get_by_text("Review settings").click()
    expect(page.get_by_role("button", name="Force local")).to_have_attribute("aria-pressed", "true")
    page.get_by_label("Rounds before a person is asked").fill("1")
    page.keyboard.press("Tab")
    eventually(lambda: world.daemon.get("/api/review-config")["max_iterations"] == 1)


def test_an_escalated_review_is_read_and_resolved(show: Open, world: World) -> None:
    write(world.project, {"a.py": "def add(a, b):\n    return a - b\n"})
    world.daemon.send("POST", "/api/review-config", {"max_iterations": 1})
    for sim in (world.manifest, world.llama_swap):
        sim.script(answer(OBJECTS))
    world.review("fix-7")
    page = show("/review/")
    row = page.locator("tbody tr", has_text="fix-7")
    expect(row).to_contain_text("escalated")
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", name="fix-7")).to_be_visible()
    expect(page.get_by_label("Conversation")).to_contain_text("it subtracts; add instead")
    expect(page.get_by_role("region", name="Diff").first).to_contain_text("return a - b")
    page.get_by_label("Your feedback").fill("Use the sum, and test it.")
    page.get_by_role("button", name="Submit feedback").click()
    expect(page.get_by_label("Conversation")).to_contain_text("Use the sum, and test it.")
    expect(page.locator(".head")).to_contain_text("needs revision")
    page.get_by_role("button", name="Approve (LGTM)").click()
    expect(page.locator(".head")).to_contain_text("approved")
    page.go_back()
    expect(page.locator("tbody tr", has_text="fix-7")).to_contain_text("approved")


@pytest.mark.parametrize("path", ["/", "/review/"])
@pytest.mark.parametrize("width", [1440, 820, 390, 320])
def test_nothing_runs_out_of_the_page_at_any_width(show: Open, world: World, width: int, path: str) -> None:
    world.daemon.chat("local", "a long prompt " * 30 + "x" * 300)
    page = show(path, width=width, height=844)
    expect(page.get_by_role("main")).to_contain_text("a long prompt" if path == "/" else "Review Sessions")
    beyond = """() => document.documentElement.scrollWidth <= window.innerWidth ? [] :
      [...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > window.innerWidth)
        .map((one) => `${one.tagName}.${one.className}`)"""
    assert page.evaluate(beyond) == []


def test_every_control_has_a_name(show: Open, world: World) -> None:
    world.daemon.chat("local", "for the names")
    page = show()
    expect(page.get_by_role("button", name="for the names")).to_be_visible()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, a, input, select, textarea')]
          .filter((one) => one.offsetParent && !(one.innerText.trim() || one.ariaLabel || one.labels?.length))
          .map((one) => one.outerHTML)"""
    )
    assert nameless == []
