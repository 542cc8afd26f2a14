"""What the lean prompt does to the real harnesses' requests, and what a real llama.cpp server makes of it.

`python -m bench.lean record [TURNS]` runs the seven clients and keeps what they send on this machine;
`python -m bench.lean learn` writes the hashes of their prose to policy/lean/known.py;
`python -m bench.lean serve CLIENT [TURNS [LEVEL]]` puts a recorded session before a real llama.cpp server;
`python -m bench.lean page` writes docs/lean-prompt.md from all that.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec

from bench.lean_clients import APPENDED, FOLDER, PROMPT, RULES, record, recorded
from bench.lean_parts import least, servers, users, weight
from bench.lean_server import WINDOW, Measured, measured
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
from brainrouter.wire.translate import to_chat
from tests.clients import install
from tests.clients.roster import CLIENTS
from tests.daemon import ROOT

LEVELS = (1, 2)
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
    ours = {normal(line) for text in (INSTRUCTIONS, RULES, PROMPT, APPENDED) for line in text.split("\n")}
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
    owns: list[list[str]] = []
    parts: list[list[str]] = []
    holds: list[list[str]] = []
    served: list[list[str]] = []
    alone: list[list[str]] = []
    for client in CLIENTS:
        turns = [hub(one) for one in recorded()[client.name] if one["body"].get("tools")]
        levels = [[_lean(one, level) for one in turns] for level in LEVELS]
        title = f"{client.title} {install.version(client.name)}"
        sizes.append([title, *_sizes(turns[0], [leans[0] for leans in levels])])
        owns.append([title, *_own(turns[0], [leans[0] for leans in levels])])
        parts.append([title, *_parts(turns[0], [leans[0] for leans in levels])])
        held = (cell for leans in levels for cell in _holds(turns, leans))
        holds.append([title, *held, str(len(turns)), _own_prompt(client.name)])
        served += [
            [title, str(level), *_served(found)] for level in LEVELS if (found := _found(client.name, level))
        ]
        found = _found(client.name, 0)
        if found:
            alone.append([title, *_times(found)])
        print(sizes[-1], holds[-1], flush=True)
    seconds = "first token, turns 1, 2, 3"
    whole = "begins with the whole turn before"
    text = _PAGE.format(
        window=WINDOW,
        sizes=_table(
            ["client", "as sent", "level 1", "smaller", "level 2", "smaller", "least", "smaller"], sizes
        ),
        owns=_table(
            [
                "client",
                "user's parts",
                "user's tools",
                "own, as sent",
                "level 1",
                "smaller",
                "level 2",
                "smaller",
            ],
            owns,
        ),
        parts=_table(["client", "prompt", "tools", "at level 1", "at level 2", "of which wait"], parts),
        holds=_table(
            ["client", "checklist, level 1", whole, "checklist, level 2", whole, "turns", "own prompt"], holds
        ),
        served=_table(
            ["client", "level", "turns", "tokens, turn 1", "read from cache", seconds, "as sent"], served
        ),
        alone=_table(["client", "tokens before", "after", f"before: {seconds}", "after"], alone),
    )
    PAGE.write_text(text, encoding="utf-8")


def _found(name: str, level: int) -> Measured | None:
    file = SERVED / f"{name}-{level}.json"
    return msgspec.json.decode(file.read_bytes(), type=Measured) if file.exists() else None


def _sizes(turn: Turn, leans: list[LeanTurn]) -> list[str]:
    was = _whole(*turn)
    now = [_whole(lean.messages, lean.offer.tools) for lean in leans]
    floor = least(turn[0], leans[-1].offer.deferral, turn[1])
    smaller = (cell for one in now for cell in (f"{one:,.0f}", _less(was, one)))
    return [f"{was:,.0f}", *smaller, f"{floor:,.0f}", _less(was, floor)]


def _own(turn: Turn, leans: list[LeanTurn]) -> list[str]:
    """The harness' own part of a request, and what is left of it or comes in its place."""
    messages, tools = turn
    theirs = users(messages)
    was = _whole(*turn) - theirs - servers(tools)
    now = [
        _whole(lean.messages, lean.offer.tools) - theirs - servers(lean.offer.tools or []) for lean in leans
    ]
    cells = (cell for one in now for cell in (f"{one:,.0f}", _less(was, one)))
    return [f"{theirs:,.0f}", f"{servers(tools):,.0f}", f"{was:,.0f}", *cells]


def _whole(messages: Any, tools: Any) -> float:
    return weight(messages) + weight(tools)


def _parts(turn: Turn, leans: list[LeanTurn]) -> list[str]:
    messages, tools = turn
    before, after = _weight(messages), _weight(leans[0].messages)
    weights = [_weight(tools), *(_weight(lean.offer.tools) for lean in leans)]
    waits = leans[-1].offer.deferral
    shrunk = [f"{one:,} ({_less(weights[0], one)})" for one in weights[1:]]
    count = f"{len(waits.hidden) if waits else 0} of {len(tools)}"
    return [f"{before:,} -> {after:,} ({_less(before, after)})", f"{weights[0]:,}", *shrunk, count]


def _holds(turns: list[Turn], leans: list[LeanTurn]) -> list[str]:
    whole = 0
    shown = [[one.offer.encoded, *map(msgspec.json.encode, adapt(one.messages))] for one in leans]
    for before, after in pairwise(shown):
        whole += after[: len(before)] == before
    return [_kept(turns, leans), f"{whole} of {len(leans) - 1}"]


def _kept(turns: list[Turn], leans: list[LeanTurn]) -> str:
    missing: list[str] = []
    for (messages, tools), lean in zip(turns, leans, strict=True):
        before, after = _text(messages), _text(lean.messages)
        items = {
            "project instructions": RULES.strip(), "request": PROMPT, "MCP instructions": INSTRUCTIONS.split("\n")[0],
            "day": _day(before), "platform": "linux", "own prompt": APPENDED,
        }  # fmt: skip
        missing += [name for name, item in items.items() if item in before and item not in after]
        told = lean.offer.encoded.decode()
        missing += ["tools" for tool in tools if not re.search(rf"\b{re.escape(_name(tool))}\b", told)]
    return "all kept" if not missing else "**lost: " + ", ".join(sorted(set(missing))) + "**"


def _own_prompt(name: str) -> str:
    """Whether what a user added to a client's system prompt reached it, and is left at every level."""
    turns = [hub(one) for one in recorded()[f"{name}~own"] if one["body"].get("tools")]
    if not all(APPENDED in _text(messages) for messages, _ in turns):
        return "**not sent**"
    said = {_kept(turns, [_lean(one, level) for one in turns]) for level in LEVELS}
    return "; ".join(sorted(said))


def _day(text: str) -> str:
    """The first date that a client tells, in either of the two forms that they use."""
    found = re.search(r"\b20\d\d-\d\d-\d\d\b|\b[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d 20\d\d\b", text)
    return found.group() if found else ""


def _served(found: Measured) -> list[str]:
    share = f"{found.cached_share:.1%}"
    before = _seconds(found.before_s) if found.before_s else "beyond the window"
    return [str(found.turns), f"{found.after_tokens:,}", share, _seconds(found.after_s), before]


def _times(found: Measured) -> list[str]:
    before = f"{found.before_tokens:,}" if found.before_tokens else "beyond the window"
    return [before, f"{found.after_tokens:,}", _seconds(found.before_s), _seconds(found.after_s)]


def _seconds(values: list[float]) -> str:
    return ", ".join(f"{value:.1f} s" for value in values[:3]) or "-"


def _weight(part: Any) -> int:
    return round(weight(part))


def _less(before: float, after: float) -> str:
    """How much smaller, in whole per cents, rounded down: 80 % is never said of less."""
    return f"{math.floor(100 - 100 * after / before)}%"


def _text(messages: list[dict[str, Any]]) -> str:
    return "\n".join(text_of(message.get("content")) for message in messages)


def _name(tool: dict[str, Any]) -> str:
    return tool["function"]["name"]


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *rows])


_PAGE = """# The lean prompt

Written by `python -m bench.lean page` from sessions of the real clients (`python -m bench.lean record`); do not edit.
What is dropped and why: docs/decisions/011-lean-prompt-by-fingerprint.md; which tools wait and how the model gets at them:
docs/decisions/013-tools-that-wait.md.

Level 1 (`llama_swap.tool_slimming: 1`, the default) replaces the harness' prose and shortens the words of its tools. Level 2
also lets rarely used tools wait: the model is offered the tools of everyday work (running, reading, editing, writing,
searching), `find_tools`, which shows any other, and `call_tool`, which calls it. The proxy answers `find_tools` itself; the
harness sees nothing but calls of its own tools. `llama_swap.kept_tools` names tools that never wait.

## How much smaller

The first request of a session with a one-line task in a small repository, in tokens by estimate, prompt and tools together,
in two countings. All of what is sent, the user's own text and tools in it:

{sizes}
*Least* is what no rule may take: the user's and the project's parts, the names of all tools, and of the tools of everyday
work which arguments there are, of what types, and which are required, without a word said of any. pi's whole request is so
small that this alone is more than a fifth of it: four fifths cannot be spared there, and at level 2 it is still the smallest
of all. Of the others, what is left is that, our prompt (some 500 tokens; some 200 in place of pi's own, which is hardly longer,
and only where tools wait: at level 1 it is left alone), a line for each tool that waits, and the manual of a tool with a
language of its own (omp's `edit`: 1,800 tokens).

The harness' own part alone: less the user's parts (project instructions, environment, MCP instructions, the task: what the
marks of policy/lean/zones.py tell, and all that a user wrote) and less the tools of the user's own MCP server, before and
after alike. What we put in its place counts as its own.

{owns}
*Prompt* is everything but the tools: the harness' prose, our text in its place, project instructions, environment, MCP
instructions, the task.

{parts}
## What is kept, and whether the prefix stands still

*Checklist*, at every turn: project instructions, the request, the day, the platform, MCP instructions, every tool's name;
what a client sends of these must be in what is sent on. A prefix stands still where a turn begins, byte for byte, with
the whole of the turn before it. In each session the model calls the client's own shell, reads a file with it, and once calls
a tool that waits at level 2; the client really runs them all. *Own prompt* is a session of its own, with a line that the user
adds to what the client says (on its command line; OpenCode and Vibe: in an AGENTS.md at home), and the same checklist.

{holds}
omp waits a quarter of a second for its MCP servers and adds them to the system prompt at a later request: that one turn
does not begin with the whole of the one before. What it adds is put at the end of the system prompt, so that all that stood
there stands.

## What the server makes of it

Sessions of fifty turns before llama.cpp's own server with the embedded model (SmolLM2-135M), prompt and tools, up to the turn
that its window of {window:,} tokens does not hold (the server gives no more than the model was made for). The model's own chat
template shows it no tools, so the server was given one that renders them as most models' do, at the head of the system prompt.
*Read from cache* is `timings.cache_n` of all prompt tokens from the second turn to the last. *As sent* is the same session
with nothing left out, where its first turn fits the window. Times are those of one thread on a machine of 2 cores with much
other work: compare them within a row only. A session that calls a tool which waits (each of these does, at its third turn) reads
the search and its answer then, and goes on from there.

{served}
The prompts alone, as the embedded model's own template would show them, as sent and at level 1: three turns each, on the same
busy machine. (Vibe and omp were served on a busier one, with an earlier text of level 1, longer by some 100 tokens.)

{alone}"""


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
