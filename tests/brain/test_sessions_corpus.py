"""Ten thousand generated turns: a tool's result goes where its call came from, unless the event says why not."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from brainrouter.adapters.eval_set import shipped_turns
from brainrouter.adapters.heads_file import load_heads
from brainrouter.brain.verdict import Verdict
from brainrouter.flows.decide import session_key
from brainrouter.flows.evaluate import decider
from brainrouter.policy.model_name import Intent
from brainrouter.wire.ask import Ask
from brainrouter.wire.chat import parse_chat
from brainrouter.wire.messages import parse_messages
from brainrouter.wire.responses import parse_responses

TURNS = 10_000
AUTO = Intent("auto")
NAMES = ("read", "bash", "edit", "grep")
FINE = ("ok", "3 passed in 0.2s", "def main():\n    return 1", "")
BAD = ("Traceback (most recent call last):\nValueError: no", "2 failed, 1 passed", "Unknown tool: reed")


class Talk:
    """A conversation as one harness would send it, request by request."""

    def __init__(self, dialect: str, key: str | None) -> None:
        self.dialect, self.key = dialect, key
        self.rows: list[dict[str, Any]] = []

    def user(self, text: str) -> None:
        self.rows.append({"role": "user", "content": text})

    def said(self, text: str) -> None:
        self.rows.append({"role": "assistant", "content": text})

    def called(self, name: str, argument: str, id_: str, result: str) -> None:
        arguments = msgspec.json.encode({"a": argument}).decode()
        if self.dialect == "messages":
            use = {"type": "tool_use", "id": id_, "name": name, "input": {"a": argument}}
            done = {"type": "tool_result", "tool_use_id": id_, "content": result}
            self.rows += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [done]}]
        elif self.dialect == "responses":
            self.rows += [
                {"type": "function_call", "call_id": id_, "name": name, "arguments": arguments},
                {"type": "function_call_output", "call_id": id_, "output": result},
            ]
        else:
            call = {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
            self.rows += [
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": id_, "content": result},
            ]

    def ask(self) -> Ask:
        headers = {"x-session-id": self.key} if self.key else {}
        body: dict[str, Any] = {"model": "auto", "max_tokens": 4096}
        body["input" if self.dialect == "responses" else "messages"] = self.rows
        parse = {"messages": parse_messages, "responses": parse_responses}.get(self.dialect, parse_chat)
        return parse(msgspec.json.encode(body), headers)


@pytest.mark.parametrize("trouble", [False, True], ids=["fine", "with errors"])
def test_no_tool_pair_is_split_across_backends(trouble: bool) -> None:
    chance = random.Random(5)
    texts = [turn.text for turn in shipped_turns()]
    ours = decider(load_heads())
    turns = split = told = conversations = 0
    sides: set[str] = set()
    while turns < TURNS // 2:
        conversations += 1
        key = f"s{conversations}" if chance.random() < 0.7 else None
        talk = Talk(chance.choice(("chat", "messages", "responses")), key)

        def go(talk: Talk = talk) -> Verdict:
            ask = talk.ask()
            question = ours.question(ask)
            if ask.session is None and question.talk.first:
                ours.sessions.forget(session_key(ask, question.talk))
            session = ours.sessions.get(session_key(ask, question.talk), 1.0)
            verdict = ours.settle(question, session, AUTO, None)
            session.landed(verdict.route, 1 if verdict.kind == "main" else None)
            return verdict

        for _ in range(chance.randint(1, 4)):
            talk.user(chance.choice(texts))
            side = go().route
            turns += 1
            for at in range(chance.randint(0, 5)):
                result = chance.choice(BAD if trouble and chance.random() < 0.4 else FINE)
                talk.called(
                    chance.choice(NAMES),
                    str(chance.randint(0, 3) if trouble else turns),
                    f"c{turns}-{at}",
                    result,
                )
                verdict = go()
                turns += 1
                sides.add(verdict.route)
                if verdict.route != side:
                    split += 1
                    told += verdict.escalation is not None and side == "local"
                    side = verdict.route
            talk.said("Done.")
    assert sides == {"local", "cloud"}
    assert (split > 0) == trouble
    assert split == told
