"""What a harness's envelope does to the scores: `python -m bench.envelope DATA [--split dev]`.

The same requests bare and inside a system prompt with an agent's own tools, in chat and in messages: AUC of ok_local, and
how many choices stay what they were at the shipped knob.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bench.routing_data import MIXED, SETS, Row, load
from brainrouter.adapters.heads_file import load_heads
from brainrouter.brain.quality import auc
from brainrouter.brain.verdict import Verdict
from brainrouter.flows.evaluate import AGENT_TOOLS, AUTO, SYSTEM, decider
from brainrouter.wire.chat import parse_chat
from brainrouter.wire.messages import parse_messages

REMINDER = "<system-reminder>\nThe user opened a.py. This may or may not be related.\n</system-reminder>\n"


def chat(row: Row) -> bytes:
    """As a client of chat completions sends it."""
    tools = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in AGENT_TOOLS]
    rows = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": row.text}]
    return msgspec.json.encode({"model": "auto", "messages": rows, "tools": tools, "stream": True})


def messages(row: Row) -> bytes:
    """As a client of the messages API sends it, with a reminder in the user's turn."""
    tools = [{"name": name, "input_schema": {}} for name in AGENT_TOOLS]
    rows = [{"role": "user", "content": [{"type": "text", "text": said} for said in (REMINDER, row.text)]}]
    body: dict[str, Any] = {
        "model": "auto",
        "max_tokens": 4096,
        "system": SYSTEM,
        "messages": rows,
        "tools": tools,
    }
    return msgspec.json.encode(body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="dev")
    options = parser.parse_args()
    rows = load(options.data, options.split)
    ours = decider(load_heads())
    ways: dict[str, Callable[[Row], Verdict]] = {
        "bare": lambda row: ours.dry_run(None, row.text, (), AUTO),
        "chat": lambda row: ours.dry_run(parse_chat(chat(row), {}), "", (), AUTO),
        "messages": lambda row: ours.dry_run(parse_messages(messages(row), {}), "", (), AUTO),
    }
    found = {name: [way(row) for row in rows] for name, way in ways.items()}
    print(f"{'set':10}" + "".join(f"{name:>10}{'drop':>8}{'same':>8}" for name in ways))
    for name in ("mixed", *SETS):
        members = [
            at for at, row in enumerate(rows) if row.set == name or (name == "mixed" and row.set in MIXED)
        ]
        small = [rows[at].small for at in members]
        line, bare = f"{name:10}", 0.0
        for way, verdicts in found.items():
            area = auc(
                [verdicts[at].ok_local or 0.0 for at in members], small, [1 - share for share in small]
            )
            bare = area if way == "bare" else bare
            same = sum(verdicts[at].route == found["bare"][at].route for at in members) / len(members)
            line += f"{area:10.3f}{bare - area:8.3f}{same:8.1%}"
        print(line)


if __name__ == "__main__":
    main()
