"""Every client with a local model whose rarely used tools wait: it searches, calls one, and goes on to write the file.

Four fifths of what it sends is spared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.install import NoPython, ensure
from tests.clients.rig import Home, stage
from tests.clients.roster import CLIENTS, WRITTEN, Client
from tests.daemon import Stage
from tests.sim import scripts

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

# Of the first request, prompt and tools. All of pi's is less than what others' tools of everyday work take: of it four
# fifths cannot go (docs/lean-prompt.md).
SPARED = {"pi": 0.45}


@pytest.fixture(scope="module")
def waiting() -> Iterator[Stage]:
    with stage(tool_slimming=2) as made:
        yield made


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_runs_a_tool_that_waited_and_hears_nothing_of_the_search(
    client: Client, waiting: Stage, tmp_path: Path
):
    try:
        for name in ("node", client.name, *client.needs):
            ensure(name)
    except NoPython:
        return
    home = Home(tmp_path / "home")
    home.make(waiting.daemon)
    done = home.brainrouter("install", client.name, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    tool, arguments = client.waiting
    offered = {"match": {"contains": '"call_tool"'}}
    side = waiting.llama_swap
    side.reset()
    for called in (
        ("find_tools", {"query": tool}),
        ("call_tool", {"name": tool, "arguments": arguments}),
        (client.tool, client.arguments),
    ):
        side.queue({**scripts.calls(called, latency_s=client.patience_s), **offered})
    side.script(scripts.answer("The greeting is in hello.txt."))

    earlier = {event["id"] for event in waiting.daemon.events(500)}

    done = home.client(client, "local")

    said = f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}\n{waiting.daemon.log()[-2000:]}"
    assert done.returncode == 0, said
    assert (home.project / "hello.txt").read_text(encoding="utf-8") == WRITTEN, said
    new = [event for event in waiting.daemon.events(500) if event["id"] not in earlier]
    lean = [
        (event["lean_tokens_before"], event["lean_tokens"])
        for event in new
        if "wait" in (event["lean_note"] or "")
    ]
    sent, left = lean[-1]  # the latest come first
    assert 1 - left / sent >= SPARED.get(client.name, 0.8), lean
    bodies = [entry["body"] for entry in side.requests() if "call_tool" in entry["text"]]
    assert len(bodies) == 4, [len(body["messages"]) for body in bodies]
    first, searched, ran, wrote = (body["messages"] for body in bodies)
    assert searched[: len(first)] == first
    assert searched[-2]["tool_calls"][0]["function"]["name"] == "find_tools"
    assert f'"{tool}"' in searched[-1]["content"]
    if client.name != "omp":  # which adds its MCP servers to the system prompt after its first request
        assert ran[: len(first)] == first, "the prefix stands"
        assert bodies[0]["tools"] == bodies[2]["tools"]
    assert [one["role"] for one in ran[len(first) :]][:4] == ["assistant", "tool", "assistant", "tool"]
    call = ran[len(first) + 2]["tool_calls"][0]["function"]
    assert call["name"] == "call_tool"
    assert json.loads(call["arguments"])["name"] == tool
    assert wrote[: len(ran)] == ran
