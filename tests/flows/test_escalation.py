"""A local model that is out of its depth: its answer is replaced within the turn, and the session stays in the cloud."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon import Daemon, Stage
from tests.sim.handle import SimLlamaSwap, SimManifest
from tests.sim.scripts import answer, calls

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("read", "bash")
]


@pytest.fixture(scope="module")
def standing() -> Iterator[Stage]:
    """A stage whose knob keeps everything local that nothing else decides."""
    with Stage(llama_swap={"fallback_model": "gemma-small"}, decision={"knob": 9.0}) as stage:
        yield stage


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("script", "why"),
    [
        (answer('{"name": "format", "arguments": {"disk": "all"}}'), "wrote a tool call as text"),
        (answer("<tool_call>\n{}\n</tool_call>"), "wrote a tool call as text"),
        (calls(("delete_everything", {})), "called a tool that was not offered: delete_everything"),
    ],
    ids=["tool JSON", "tool tag", "unknown tool"],
)
def test_an_unfit_local_answer_is_given_again_by_the_cloud_within_the_turn(
    daemon: Daemon,
    manifest: SimManifest,
    llama_swap: SimLlamaSwap,
    script: dict[str, Any],
    why: str,
    stream: bool,
) -> None:
    llama_swap.script(script)
    manifest.script(answer("from above"))
    text = f"list the files {len(str(script))} {stream}"
    found = daemon.chat("auto", text, stream=stream, tools=TOOLS)
    assert (found.status, found.side, found.text) == (200, "cloud", "from above")
    event = daemon.event(text)
    assert (event["decision"], event["side"]) == ("local", "cloud")
    assert event["escalation"] == f"the local model {why}"
    assert why in event["attempts"][0]
    assert event["fallback"]


def test_after_an_escalation_the_session_stays_in_the_cloud_and_its_event_says_why(
    daemon: Daemon, llama_swap: SimLlamaSwap
) -> None:
    llama_swap.script(calls(("no_such_tool", {})))
    _say(daemon, ["tidy up"])
    _say(daemon, ["tidy up", "and rename the file"])
    event = daemon.event("and rename the file")
    assert (event["decision"], event["stage"]) == ("cloud", "evidence")
    assert "called a tool that was not offered" in event["reason"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_fit_local_answer_is_passed_on_as_it_is(
    daemon: Daemon, llama_swap: SimLlamaSwap, stream: bool
) -> None:
    for script in (
        answer("{ is a brace, and that is all there is to say of it"),
        calls(("bash", {"command": "ls"})),
    ):
        llama_swap.script(script)
        assert daemon.chat("auto", "what is a brace", stream=stream, tools=TOOLS).side == "local"


def test_what_was_asked_to_stay_local_stays_even_when_unfit(daemon: Daemon, llama_swap: SimLlamaSwap) -> None:
    llama_swap.script(calls(("no_such_tool", {})))
    assert daemon.chat("local", "stay here", tools=TOOLS).side == "local"


@pytest.mark.parametrize(("said", "side"), [("local", "local"), ("cloud", "cloud"), ("auto", "local")])
def test_a_header_overrules_the_model_name(daemon: Daemon, said: str, side: str) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": f"header says {said}"}]}
    found = daemon.send("POST", "/v1/chat/completions", body, x_brainrouter_route=said)
    assert found.side == side
    if said != "auto":
        assert daemon.event(f"header says {said}")["reason"] == f"asked for {said} by header"


def test_a_tool_loop_stays_where_it_began_and_a_title_is_housekeeping(daemon: Daemon) -> None:
    body: dict[str, Any] = {
        "model": "auto",
        "messages": [
            {"role": "user", "content": "look into it"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "fine"},
        ],
        "tools": TOOLS,
    }  # fmt: skip
    first = {**body, "messages": body["messages"][:1]}
    assert daemon.send("POST", "/v1/chat/completions", first, x_session_id="loop").side == "local"
    assert daemon.send("POST", "/v1/chat/completions", body, x_session_id="loop").side == "local"
    event = daemon.events()[0]
    assert (event["turn_kind"], event["reason"]) == ("continuation", "tool loop stays local")


def _say(daemon: Daemon, said: list[str]) -> None:
    messages: list[dict[str, Any]] = []
    for text in said:
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": "done"}]
    body = {"model": "auto", "messages": messages[:-1], "tools": TOOLS}
    daemon.send("POST", "/v1/chat/completions", body, x_session_id="stuck")
