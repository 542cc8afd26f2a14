"""Rarely used tools wait behind two of ours: what is offered, what a search shows, what a history becomes."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainrouter.policy.lean.deferral import Call, deferral, is_search
from brainrouter.policy.lean.fit import trimmed
from brainrouter.policy.lean.offer import offer
from brainrouter.policy.lean.turn import lean_turn
from brainrouter.wire.token_estimate import text_tokens
from tests.policy.deferred import EVERYDAY, RARE, TEXT, TOOLS, made, tool
from tests.policy.lean_sessions import KNOWN, PROSE

NAMES = [one["function"]["name"] for one in TOOLS]


def names(tools: list[dict[str, Any]]) -> list[str]:
    return [one["function"]["name"] for one in tools]


def settled(name: str, /, **fields: Any) -> Any:
    return made().settled(Call("c1", name, json.dumps(fields)))


def call(name: str, at: int = 0, **arguments: Any) -> dict[str, Any]:
    return {
        "id": f"c{at}",
        "type": "function",
        "function": {"name": name, "arguments": json.dumps(arguments)},
    }


def round_of(*calls: dict[str, Any], said: str = "") -> list[dict[str, Any]]:
    results = [{"role": "tool", "tool_call_id": one["id"], "content": "done"} for one in calls]
    return [{"role": "assistant", "content": said, "tool_calls": list(calls)}, *results]


def test_the_tools_of_everyday_work_stay_and_the_others_are_named() -> None:
    found = made()
    assert names(found.offered) == [*sorted(names(EVERYDAY)), "find_tools", "call_tool"]
    listed = found.offered[-2]["function"]["description"]
    assert all(name in listed for name in names(RARE))
    assert text_tokens(json.dumps(found.offered).encode()) < text_tokens(json.dumps(TOOLS).encode()) / 2


def test_a_tool_that_lists_folders_waits_where_a_shell_does_it() -> None:
    lists = tool("LS", "Lists a folder.", path=TEXT)
    shell = next(one for one in TOOLS if one["function"]["name"] == "Bash")
    assert "LS" in made([*TOOLS, lists]).hidden
    assert "LS" not in made([one for one in [*TOOLS, lists] if one != shell]).hidden


def test_the_order_in_which_tools_came_changes_nothing() -> None:
    assert deferral(TOOLS[::-1]) == made()


def test_nothing_waits_where_that_would_spare_too_little() -> None:
    assert deferral(EVERYDAY) is None
    assert deferral([*EVERYDAY, tool("Pause", "Waits.", seconds={"type": "integer"})]) is None
    assert deferral([]) is None


def test_what_the_user_wants_kept_is_kept_and_so_is_a_harness_own_search_for_tools() -> None:
    search = tool("ToolSearch", "Finds tools.", ("query",), query=TEXT)
    found = deferral([*TOOLS, search], keep=("WebFetch",))
    assert found is not None
    assert {"WebFetch", "ToolSearch"} <= set(names(found.offered))
    assert "WebFetch" not in found.hidden


def test_our_names_give_way_to_a_tool_that_is_called_the_same() -> None:
    found = deferral(
        [*TOOLS, tool("find_tools", "Theirs.", keys=TEXT), tool("call_tool", "Theirs.")], ("find_tools",)
    )
    assert found is not None
    assert (found.find, found.call) == ("find_tools_", "call_tool_")
    assert names(found.offered).count("find_tools") == 1
    assert isinstance(found.settled(Call("c", "find_tools", "{}")), Call)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("WebFetch", ["WebFetch"]),
        ("WebFetch, ListAgents", ["ListAgents", "WebFetch"]),
        ("mcp__desk__send_mail", ["mcp__desk__send_mail"]),
        ("send a letter", ["mcp__desk__send_mail"]),
        ("notebook cell", ["NotebookEdit"]),
        ("Read", ["Read"]),
    ],
)
def test_a_search_shows_the_schemas_of_what_it_names_or_describes(query: str, shown: list[str]) -> None:
    text = settled("find_tools", query=query)
    schemas = [json.loads(line) for line in text.split("\n")[1:]]
    assert [one["name"] for one in schemas] == shown
    by_name = {one["function"]["name"]: one["function"]["parameters"] for one in TOOLS}
    assert all(one["parameters"] == by_name[one["name"]] for one in schemas)


def test_a_search_for_nothing_there_tells_the_names() -> None:
    assert "CronCreate" in settled("find_tools", query="zzz")
    assert "CronCreate" in str(made().settled(Call("c", "find_tools", "no json")))


def test_a_call_through_ours_is_the_harness_own_call() -> None:
    wanted = {"url": "http://a", "prompt": "what?"}
    for fields in ({"arguments": wanted}, {"arguments": json.dumps(wanted)}, wanted):
        found = settled("call_tool", name="WebFetch", **fields)
        assert isinstance(found, Call)
        assert (found.id, found.name, json.loads(found.arguments)) == ("c1", "WebFetch", wanted)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "takes a JSON object with `name`"),
        ({"name": 7}, "takes a JSON object with `name`"),
        ({"name": "Fly"}, "no tool named Fly"),
        ({"name": "WebFetch", "arguments": [1]}, "must be a JSON object"),
        ({"name": "WebFetch", "arguments": {"prompt": "?"}}, "url missing"),
        ({"name": "call_tool", "arguments": {}}, "no tool named call_tool"),
    ],
)
def test_a_call_that_cannot_be_made_is_answered_in_words(fields: dict[str, Any], told: str) -> None:
    assert told in settled("call_tool", **fields)


def test_any_other_call_is_the_harness_business() -> None:
    for name in ("Bash", "WebFetch", "Fly"):
        asked = Call("c1", name, "{not json")
        assert made().settled(asked) == asked


def test_a_call_in_the_history_is_found_before_it_is_first_made_and_only_then() -> None:
    talk = [
        {"role": "user", "content": "hi"},
        *round_of(call("WebFetch", 1, url="http://a"), said="Let me look."),
        *round_of(call("WebFetch", 2, url="http://b"), call("Bash", 3, command="ls")),
    ]
    wrapped = made().wrapped(talk)
    assert [one["role"] for one in wrapped] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "tool",
        "assistant",
        "tool",
        "tool",
    ]
    search, shown, first, _, second = wrapped[1:6]
    assert (search["content"], first["content"]) == ("Let me look.", "")
    assert search["tool_calls"][0]["function"]["name"] == "find_tools"
    assert shown["tool_call_id"] == search["tool_calls"][0]["id"]
    assert is_search(shown["tool_call_id"])
    assert '"url"' in shown["content"]
    assert first["tool_calls"][0]["id"] == "c1"
    assert json.loads(first["tool_calls"][0]["function"]["arguments"]) == {
        "name": "WebFetch", "arguments": {"url": "http://a"},
    }  # fmt: skip
    assert [one["function"]["name"] for one in second["tool_calls"]] == ["call_tool", "Bash"]


CALLS = st.lists(st.lists(st.sampled_from([*NAMES, "Gone"]), min_size=1, max_size=3), max_size=8)


@given(CALLS)
def test_what_was_sent_begins_what_is_sent_and_every_call_keeps_its_result(turns: list[list[str]]) -> None:
    talk: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
    before: list[dict[str, Any]] = []
    for turn, called in enumerate(turns):
        talk += round_of(*(call(name, 10 * turn + at, x=1) for at, name in enumerate(called)))
        now = made().wrapped(talk)
        assert now[: len(before)] == before
        before = now
    open_calls: list[str] = []
    for message in before:
        open_calls += [one["id"] for one in message.get("tool_calls", ())]
        if message["role"] == "tool":
            open_calls.remove(message["tool_call_id"])
    assert open_calls == []


def test_a_lean_turn_speaks_of_no_tool_that_waits_as_if_it_were_there() -> None:
    task = tool("Task", f"Starts another agent. {'x' * 900}", ("tasks",), tasks=TEXT)
    turn = lean_turn([{"role": "user", "content": "hi"}], offer(json.dumps([*TOOLS, task]).encode(), 2))
    assert turn.offer.deferral is not None
    assert turn.offer.tools == turn.offer.deferral.offered
    assert turn.saving.after < turn.saving.before / 2
    assert turn.saving.note == "8 tools wait to be asked for"
    assert offer(json.dumps(EVERYDAY).encode(), 2).deferral is None


def test_the_lean_prompt_says_how_the_others_are_reached() -> None:
    talk = [{"role": "system", "content": PROSE}, {"role": "user", "content": "hi"}]
    heads = [
        lean_turn(talk, offer(json.dumps(TOOLS).encode(), level), known=KNOWN).messages[0]["content"]
        for level in (1, 2)
    ]
    assert ["`find_tools` shows" in head for head in heads] == [False, True]


def test_what_a_search_found_is_not_left_out_where_the_window_is_full() -> None:
    talk = [{"role": "user", "content": "hi"}, *round_of(call("WebFetch", 1, url="a"))]
    for at in range(2, 9):
        talk += [
            *round_of(call("Bash", at, command="ls"))[:1],
            {"role": "tool", "tool_call_id": f"c{at}", "content": "word " * 900},
        ]
    wrapped = made().wrapped(talk)
    found = trimmed(wrapped, 9_000, 6_000)
    assert found is not None
    assert found[0][2] == wrapped[2]


@pytest.mark.parametrize(
    "bomb", ["a" * 400_000, "aB" * 200_000, '{"name":' * 50_000, "[" * 400_000, "WebFetch," * 40_000]
)
def test_hostile_words_cost_no_more_than_their_length(bomb: str) -> None:
    began = time.process_time()
    made().settled(Call("c", "find_tools", json.dumps({"query": bomb})))
    made().settled(Call("c", "find_tools", bomb))
    made().settled(Call("c", "call_tool", bomb))
    made().settled(Call("c", "call_tool", json.dumps({"name": bomb, "arguments": bomb})))
    assert time.process_time() - began < 3.0
