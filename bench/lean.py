"""What the lean prompt does to the real harnesses' requests, and what a real llama.cpp server makes of it.

`python -m bench.lean record [TURNS]` runs the seven clients and keeps what they send on this machine;
`python -m bench.lean learn` writes the hashes of their prose to policy/lean/known.py;
`python -m bench.lean serve CLIENT [TURNS [LEVEL]]` puts a recorded session before a real llama.cpp server;
`python -m bench.lean page` writes docs/lean-prompt.md from all that.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec

from bench.lean_clients import FOLDER, PROMPT, RULES, record, recorded
from bench.lean_server import Measured, measured
from brainrouter.edge.mcp.tools import INSTRUCTIONS
from brainrouter.policy.adapt import adapt, text_of
from brainrouter.policy.lean.envelopes import harness_texts
from brainrouter.policy.lean.fingerprint import fingerprint, normal, tells
from brainrouter.policy.lean.offer import offer
from brainrouter.policy.lean.tools import readable
from brainrouter.policy.lean.turn import LeanTurn, lean_turn
from brainrouter.policy.lean.zones import zones
from brainrouter.wire.messages import parse_messages
from brainrouter.wire.responses import parse_responses
from brainrouter.wire.token_estimate import text_tokens
from brainrouter.wire.translate import to_chat
from tests.clients import install
from tests.clients.roster import CLIENTS
from tests.daemon import ROOT

PAGE = ROOT / "docs" / "lean-prompt.md"
SERVED = FOLDER / "served"
BEFORE_MAX = 9_000  # tokens by estimate; what is beyond the window is refused at once
KNOWN_FILE = ROOT / "src/brainrouter/policy/lean/known.py"
Request = dict[str, Any]
Turn = tuple[list[dict[str, Any]], list[dict[str, Any]]]


def hub(request: Request) -> Turn:
    """A recorded request in chat completions: its messages and its tools."""
    raw, path = json.dumps(request["body"]).encode(), request["path"].partition("?")[0]
    if path.endswith("/completions"):
        return request["body"]["messages"], readable(request["body"].get("tools")) or []
    parse = parse_messages if path.endswith("/messages") else parse_responses
    chat = to_chat(parse(raw, {}))
    return chat.messages, readable(chat.fields.get("tools")) or []


def learn() -> None:
    """Write the hashes of every line that a harness wrote, and that is neither the user's nor ours."""
    ours = {normal(line) for text in (INSTRUCTIONS, RULES, PROMPT) for line in text.split("\n")}
    found: set[bytes] = set()
    for requests in recorded().values():
        for request in requests:
            for message in hub(request)[0]:
                for text in harness_texts(message):
                    found.update(map(fingerprint, set(_own_lines(text)) - ours))
    blob = "".join(sorted(one.hex() for one in found))
    rows = "\n".join(blob[at : at + 110] for at in range(0, len(blob), 110))
    KNOWN_FILE.write_text(_KNOWN.format(rows=rows), encoding="utf-8")
    print(f"{len(found)} lines are known")


def _own_lines(text: str) -> Iterator[str]:
    spans = zones(text)
    at = 0
    for line in text.split("\n"):
        inside = any(start < at + len(line) + 1 and end > at for start, end in spans)
        at += len(line) + 1
        said = normal(line)
        theirs = "brainrouter" not in said and "lean-bench" not in said and not said.startswith("?? ")
        if theirs and not inside and tells(said):
            yield said


_KNOWN = '''"""Hashes of the lines that the harnesses write into their prompts. Written by `python -m bench.lean learn`."""

from __future__ import annotations

from brainrouter.policy.lean.fingerprint import SIZE

_HEX = """
{rows}
"""
_BYTES = bytes.fromhex(_HEX)
KNOWN = frozenset(_BYTES[at : at + SIZE] for at in range(0, len(_BYTES), SIZE))
'''


def serve(name: str, turns: int, level: int) -> None:
    """Put so many turns of a client's session before a real server, and keep what it told. Level 0: without tools."""
    session = [hub(one) for one in recorded()[name] if one["body"].get("tools")][:turns]
    leans = [_lean(one, level or 1) for one in session]
    before = [_asked(messages, tools if level else None) for messages, tools in session[:3]]
    if _weight(before[0]) > BEFORE_MAX:
        before = []
    found = measured(before, [_asked(one.messages, one.offer.tools if level else None) for one in leans])
    SERVED.mkdir(exist_ok=True)
    (SERVED / f"{name}-{level}.json").write_bytes(msgspec.json.encode(found))
    print(name, level, found, flush=True)


def _lean(turn: Turn, level: int) -> LeanTurn:
    messages, tools = turn
    return lean_turn(messages, offer(msgspec.json.encode(tools), level))


def _asked(messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> dict[str, Any]:
    return {"messages": adapt(messages), **({"tools": tools} if tools else {})}


def page() -> None:
    """Measure what was recorded, and write the page."""
    sizes: list[list[str]] = []
    holds: list[list[str]] = []
    served: list[list[str]] = []
    for client in CLIENTS:
        turns = [hub(one) for one in recorded()[client.name] if one["body"].get("tools")]
        leans = [_lean(one, 1) for one in turns]
        title = f"{client.title} {install.version(client.name)}"
        sizes.append([title, *_sizes(turns[0], leans[0])])
        holds.append([title, *_holds(turns, leans)])
        file = SERVED / f"{client.name}.json"
        if file.exists():
            served.append([title, *_served(msgspec.json.decode(file.read_bytes(), type=Measured))])
        print(sizes[-1], holds[-1], flush=True)
    heads = [
        "client",
        "turns",
        "tokens before",
        "after",
        "read from cache",
        "first token before: turns 1, 2, 3",
        "after: turns 1, 2, 3",
    ]
    text = _PAGE.format(
        sizes=_table(["client", "prompt", "tools", "in all", "smaller"], sizes),
        holds=_table(["client", "checklist", "turns", "turns that begin with the whole turn before"], holds),
        served=_table(heads, served),
    )
    PAGE.write_text(text, encoding="utf-8")


def _sizes(turn: Turn, lean: LeanTurn) -> list[str]:
    messages, tools = turn
    was = [_weight(messages), _weight(tools)]
    now = [_weight(lean.messages), _weight(lean.offer.tools)]
    cells = [
        f"{before:,} -> {after:,} ({_less(before, after)})" for before, after in zip(was, now, strict=True)
    ]
    return [*cells, f"{sum(was):,} -> {sum(now):,}", _less(sum(was), sum(now))]


def _holds(turns: list[Turn], leans: list[LeanTurn]) -> list[str]:
    missing: list[str] = []
    for (messages, tools), lean in zip(turns, leans, strict=True):
        before, after = _text(messages), _text(lean.messages)
        items = {
            "project instructions": RULES.strip(), "request": PROMPT, "MCP instructions": INSTRUCTIONS.split("\n")[0],
            "day": _day(before), "platform": "linux",
        }  # fmt: skip
        missing += [name for name, item in items.items() if item in before and item not in after]
        if {_name(tool) for tool in tools} != {_name(tool) for tool in lean.offer.tools or []}:
            missing.append("tools")
    whole = 0
    shown = [[one.offer.encoded, *map(msgspec.json.encode, adapt(one.messages))] for one in leans]
    for before, after in pairwise(shown):
        whole += after[: len(before)] == before
    said = "all kept" if not missing else "**lost: " + ", ".join(sorted(set(missing))) + "**"
    return [said, str(len(leans)), f"{whole} of {len(leans) - 1}"]


def _day(text: str) -> str:
    """The first date that a client tells, in either of the two forms that they use."""
    found = re.search(r"\b20\d\d-\d\d-\d\d\b|\b[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d 20\d\d\b", text)
    return found.group() if found else ""


def _served(found: Measured) -> list[str]:
    def seconds(values: list[float]) -> str:
        return ", ".join(f"{value:.1f} s" for value in values[:3]) or "not asked"

    before = f"{found.before_tokens:,}" if found.before_tokens else "not asked"
    share = f"{found.cached_share:.1%}"
    return [
        str(found.turns),
        before,
        f"{found.after_tokens:,}",
        share,
        seconds(found.before_s),
        seconds(found.after_s),
    ]


def _weight(part: Any) -> int:
    return round(text_tokens(msgspec.json.encode(part)))


def _less(before: int, after: int) -> str:
    return f"{1 - after / before:.0%}"


def _text(messages: list[dict[str, Any]]) -> str:
    return "\n".join(text_of(message.get("content")) for message in messages)


def _name(tool: dict[str, Any]) -> str:
    return tool["function"]["name"]


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *rows])


_PAGE = """# The lean prompt

Written by `python -m bench.lean page` from sessions of the real clients (`python -m bench.lean record`); do not edit.
What is dropped and why: docs/decisions/011-lean-prompt-by-fingerprint.md.

## How much smaller

The first request of a session with a one-line task in a small repository, in tokens by estimate. *Prompt* is everything
but the tools: the harness' prose, our text in its place, project instructions, environment, MCP instructions, the task.

{sizes}
pi's own prompt is hardly longer than ours, and is left alone. What is left of the tools is mostly what cannot be shortened:
names, types, which arguments are required, and the manuals of tools with a language of their own.

## What is kept, and whether the prefix stands still

*Checklist*, at every turn: project instructions, the request, the day, the platform, MCP instructions, every tool's name;
what a client sends of these must be in what is sent on. A prefix stands still where a turn begins, byte for byte, with
the whole of the turn before it.

{holds}
omp adds its MCP servers to the system prompt once they are up, after its first request: that one turn begins anew.

## What the server makes of it

The embedded model (SmolLM2-135M) on llama.cpp's own server, one thread of a machine with much other work: only the
relations mean anything. Its template shows the model no tools, so these are prompts alone; a client whose session this
machine had no time for is missing. *Read from cache* is
`timings.cache_n` of all prompt tokens from the second turn to the last. Times are to the first token. *Before* was asked
only where it is short enough to wait for.

{served}"""


def main(arguments: list[str]) -> None:
    """One of the four commands."""
    match arguments:
        case ["record", *rest]:
            record(int(rest[0]) if rest else 50)
        case ["learn"]:
            learn()
        case ["serve", name, *rest]:
            turns, level = (*map(int, rest), *(50, 1)[len(rest) :])
            serve(name, turns, level)
        case ["page"]:
            page()
        case _:
            print(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
