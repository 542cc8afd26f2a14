"""What is remembered between the turns of a session: bounded, and never another session's."""

from __future__ import annotations

import json

from brainrouter.policy.lean.memo import Memo
from brainrouter.policy.lean.offer import offer
from brainrouter.policy.lean.turn import lean_turn
from brainrouter.policy.outgoing import to_local
from brainrouter.policy.plan import Attempt
from brainrouter.wire.chat import parse_chat
from tests.policy.deferred import TOOLS
from tests.policy.lean_sessions import HARNESSES, KNOWN, PROSE, Session


def test_what_was_made_is_made_once_and_the_least_used_goes_first() -> None:
    memo: Memo[str] = Memo(entries=2, largest=10)
    made: list[str] = []

    def get(key: str) -> str:
        return memo.get(key, len(key), lambda: made.append(key) or key)

    for key in ("a", "b", "a", "c", "a", "b"):
        assert get(key) == key
    assert made == ["a", "b", "c", "b"]
    assert len(memo) == 2


def test_what_is_large_is_not_kept() -> None:
    memo: Memo[str] = Memo(entries=2, largest=3)
    assert [memo.get("long", 4, lambda: "x") for _ in range(3)] == ["x"] * 3
    assert len(memo) == 0


def test_sessions_that_take_turns_get_what_each_gets_alone() -> None:
    sessions = [Session(harness, prompt=f"Ask {at}") for at, harness in enumerate(HARNESSES)]
    alone = [session.turn(3) for session in sessions]
    for _ in range(2):
        for session, before in zip(sessions, alone, strict=True):
            now = session.turn(3)
            assert (now.messages, now.offer, now.saving) == (before.messages, before.offer, before.saving)


def test_whose_prompt_it_is_and_what_is_offered_tell_one_opening_from_another() -> None:
    talk = [{"role": "system", "content": f"{PROSE}\ncwd: /p"}, {"role": "user", "content": "hi"}]
    offers = [offer(json.dumps(TOOLS[:count]).encode(), 1) for count in (1, 4)]
    heads = {
        lean_turn(talk, offered, override, known=KNOWN).messages[0]["content"]
        for offered in offers
        for override in (None, "Mine.", "Yours.")
    }
    assert len(heads) == 4, "with a prompt of the user's own the tools are not spoken of"


def test_what_is_remembered_is_never_changed_by_what_comes_after() -> None:
    body = {
        "model": "m",
        "messages": [{"role": "system", "content": PROSE}, {"role": "user", "content": "hi"}],
    }
    ask = parse_chat(json.dumps({**body, "tools": TOOLS}).encode(), {})
    later = {**body, "messages": [*body["messages"], {"role": "system", "content": "By the way."}]}
    first = to_local(ask, Attempt("local", "m"), None, None, slimming=2).body
    to_local(parse_chat(json.dumps(later).encode(), {}), Attempt("local", "m"), None, None)
    assert to_local(ask, Attempt("local", "m"), None, None, slimming=2).body == first
