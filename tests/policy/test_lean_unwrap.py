"""What a harness sees of a model that asks for tools: its own calls, one answer, and nothing of ours."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from brainrouter.policy.lean.unwrap import Unwrap
from tests.policy.deferred import made
from tests.sim.answers import Answer, Call
from tests.sim.play import events_of, render
from tests.sim.say_chat import whole

FETCH = json.dumps({"name": "WebFetch", "arguments": {"url": "http://a"}})
FIND = Call("find_tools", '{"query":"web"}', "f1")
WRAPPED = Call("call_tool", FETCH, "w1")
BASH = Call("Bash", '{"command":"ls"}', "b1")
WRONG = Call("call_tool", '{"name":"Fly"}', "w2")


def stream(*calls: Call, text: str = "", finish: str = "", interleave: bool = False) -> bytes:
    said = Answer(text=text, calls=calls, finish=finish, interleave=interleave)
    events = events_of("chat", said, {"stream_options": {"include_usage": True}})
    return b"".join(render(event, []) for event in events)


def chunks(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in out.split(b"\n") if line.startswith(b"data: {")]


def seen(out: bytes) -> tuple[str, list[tuple[str, str, str]], list[str]]:
    """The text, the calls (id, name, arguments) and the finish reasons of a stream, as a client puts them together."""
    text, finishes = "", []
    calls: dict[int, list[str]] = {}
    for chunk in chunks(out):
        for choice in chunk["choices"]:
            text += choice["delta"].get("content") or ""
            if choice["finish_reason"]:
                finishes.append(choice["finish_reason"])
            for piece in choice["delta"].get("tool_calls") or ():
                made_of = calls.setdefault(piece["index"], ["", "", ""])
                made_of[0] += piece.get("id") or ""
                made_of[1] += piece["function"].get("name") or ""
                made_of[2] += piece["function"].get("arguments") or ""
    return text, [(one[0], one[1], one[2]) for _, one in sorted(calls.items())], finishes


def through(unwrap: Unwrap, data: bytes, size: int = 0) -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
    return b"".join(map(unwrap.feed, pieces)) + unwrap.end()


def test_an_answer_without_our_tools_passes_as_it_came() -> None:
    for said in (stream(text="Hello there."), stream(BASH, text="So."), stream(BASH, BASH, interleave=True)):
        unwrap = Unwrap(made())
        assert seen(through(unwrap, said)) == seen(said)
        assert not unwrap.asked


def test_a_call_through_ours_reaches_the_harness_as_its_own() -> None:
    out = through(Unwrap(made()), stream(WRAPPED, text="I fetch."))
    assert seen(out) == ("I fetch.", [("w1", "WebFetch", '{"url":"http://a"}')], ["tool_calls"])
    assert out.endswith(b"data: [DONE]\n\n")
    assert chunks(out)[-1]["usage"]["prompt_tokens"] == 12
    assert b"call_tool" not in out


def test_a_search_is_asked_of_us_and_the_harness_hears_nothing_of_it() -> None:
    unwrap = Unwrap(made())
    assert seen(through(unwrap, stream(FIND))) == ("", [], [])
    assert not unwrap.visible
    [(asked, told)] = unwrap.asked
    assert asked.name == "find_tools"
    assert '"WebFetch"' in told


def test_the_next_answer_goes_on_where_the_first_left_off() -> None:
    unwrap = Unwrap(made())
    out = through(unwrap, stream(FIND, text="I look."))
    assert seen(out) == ("I look.", [], [])
    assert unwrap.said == {"content": "I look."}
    unwrap.again(last=False)
    out += through(unwrap, stream(WRAPPED, text="Found."))
    assert seen(out) == ("I look.\n\nFound.", [("w1", "WebFetch", '{"url":"http://a"}')], ["tool_calls"])
    assert len({chunk["id"] for chunk in chunks(out)}) == 1
    roles = [choice["delta"].get("role") for chunk in chunks(out) for choice in chunk["choices"]]
    assert roles.count("assistant") == 1


def test_what_is_asked_beside_a_call_of_the_harness_falls_away() -> None:
    for calls in ((FIND, BASH), (BASH, FIND), (BASH, WRONG), (WRONG, BASH)):
        unwrap = Unwrap(made())
        out = through(unwrap, stream(*calls))
        assert seen(out)[1:] == ([("b1", "Bash", '{"command":"ls"}')], ["tool_calls"])
        assert not unwrap.asked


def test_calls_are_numbered_as_the_harness_sees_them() -> None:
    out = through(Unwrap(made()), stream(FIND, BASH, WRAPPED, BASH, interleave=True))
    assert [name for _, name, _ in seen(out)[1]] == ["Bash", "Bash", "WebFetch"]


def test_a_model_that_never_stops_asking_has_no_answer_or_only_what_it_said() -> None:
    for text, spent in (("", True), ("I give up.", False)):
        unwrap = Unwrap(made())
        through(unwrap, stream(FIND))
        unwrap.again(last=True)
        out = through(unwrap, stream(FIND, text=text))
        assert not unwrap.asked
        assert unwrap.spent is spent
        assert seen(out) == (text, [], [] if spent else ["stop"])


def test_a_call_that_the_limit_cut_in_two_is_nobodys() -> None:
    half = Call("call_tool", '{"name":"WebFe', "w1")
    unwrap = Unwrap(made())
    out = through(unwrap, stream(half, text="I fetch.", finish="length"))
    assert seen(out) == ("I fetch.", [], ["length"])
    assert not unwrap.asked


def test_a_stream_that_ends_without_a_finish_is_settled_at_its_end() -> None:
    said = stream(WRAPPED)
    broken = b"".join(
        event + b"\n\n"
        for event in said.split(b"\n\n")
        if b'finish_reason":"' not in event and b"DONE" not in event and event
    )
    out = through(Unwrap(made()), broken)
    assert [name for _, name, _ in seen(out)[1]] == ["WebFetch"]


CALLS = st.lists(st.sampled_from([FIND, WRAPPED, BASH, WRONG]), max_size=4)


@given(CALLS, st.sampled_from(["", "Some words."]), st.booleans(), st.integers(0, 40))
def test_a_whole_answer_and_a_stream_in_any_pieces_tell_the_same(
    calls: list[Call], text: str, interleave: bool, size: int
) -> None:
    if not calls and not text:
        text = "x"
    numbered = [Call(one.name, one.arguments, f"c{at}") for at, one in enumerate(calls)]
    streamed, plain = Unwrap(made()), Unwrap(made())
    out = through(streamed, stream(*numbered, text=text, interleave=interleave), size)
    head = plain.whole(whole(Answer(text=text, calls=tuple(numbered))))
    assert [one for _, one in streamed.asked] == [one for _, one in plain.asked]
    assert streamed.said == plain.said
    if head is None:
        assert plain.asked
        assert seen(out) == (text, [], [])
        return
    message, told = head["choices"][0]["message"], seen(out)
    assert (message["content"] or "") == told[0]
    shown = [
        (one["id"], one["function"]["name"], one["function"]["arguments"])
        for one in message.get("tool_calls") or ()
    ]
    assert shown == told[1]
    assert [head["choices"][0]["finish_reason"]] == told[2]


def test_the_parts_of_a_whole_answer_are_one() -> None:
    unwrap = Unwrap(made())
    assert unwrap.whole(whole(Answer(text="I look.", calls=(FIND,)))) is None
    unwrap.again(last=False)
    head = unwrap.whole(whole(Answer(text="It is so.", calls=())))
    assert head is not None
    assert head["choices"][0]["message"]["content"] == "I look.\n\nIt is so."
    assert head["choices"][0]["finish_reason"] == "stop"
