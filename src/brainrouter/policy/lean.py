"""The lean system prompt for local models. Pure.

A harness' own prompt of 15 to 20 thousand tokens means minutes before the first token on local hardware. Prose like
that is replaced by about 500 tokens of ours; what belongs to the user is kept: project instructions, environment.
"""

from __future__ import annotations

import re

HEAVY_CHARS = 4_000
KEPT_MAX_CHARS = 12_000

LEAN_PROMPT = """\
You are a coding agent. You work inside the user's project, through the tools you are given, until the task is done.

How to work
- Do what was asked, and only that. Keep the style of the code around you. Add nothing that nobody asked for.
- Look before you change: read the part of a file that you are about to edit. Never guess a path, a name or a result.
- Make one small step, look at its result, then decide on the next one. Prefer editing a file to rewriting it.
- When a change can be checked with a command (a test, a build, a linter), run it and read what it prints.
- Never run a command that destroys work or reaches outside the project unless the user asked for exactly that.

How to call tools
- Call only the tools that are offered, under their exact names, with arguments that fit their schema as valid JSON.
- Use the calling mechanism itself. Never write a tool call as text in an answer.
- Use absolute paths where a tool asks for a path. Quote a path that has spaces in a shell command.
- When you have what you need, stop calling tools and answer.

How not to go round in circles
- Never make the same call with the same arguments twice. What failed once fails again: change something first.
- After two failed tries at one thing, stop. Read the error again, say what you think is wrong, and take another road.
- After three failures, stop working on it: tell the user what you tried, what happened and what you need.
- Do not repeat a sentence, a plan or a file that you have already written. Do not announce a step; take it.
- If a file already holds what you were about to write, the step is done: go on.
- When the task is finished, say so in one or two sentences and end your turn. Do not look for more to do.

How to answer
- Be short and plain. Lead with the result. Name files as path:line.
- Say what you did not check. Never claim that something works when you did not run it.
- If the request is unclear in a way that changes the work, ask one question instead of guessing.
"""

_KEPT_HEADING = re.compile(
    r"(agents\.md|claude\.md|claudemd|project (instructions|context|rules)|user('s)? (instructions|rules|preferences)"
    r"|custom instructions|instructions from:|memory|environment|working directory|mcp server instructions)",
    re.IGNORECASE,
)
_KEPT_TAG = re.compile(
    r"<(env|environment|environment_context|project[-_ ]?(?:instructions|context)|user[-_]instructions|instructions"
    r"|system-reminder|context)(?: [^<>]{0,200})?>",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^(#{1,6}) .+$|^Instructions from: .+$", re.MULTILINE)


def is_heavy(system_text: str) -> bool:
    """Whether a system prompt is so long that a local model is better off without most of it."""
    return len(system_text) > HEAVY_CHARS


def lean(system_text: str, override: str | None = None) -> str:
    """The lean prompt (or the user's own, `override`), followed by what must be kept of the original."""
    kept = kept_sections(system_text)
    base = (override or LEAN_PROMPT).strip()
    return base + "\n" if not kept else f"{base}\n\n{kept}\n"


def kept_sections(system_text: str) -> str:
    """The project's instructions and the environment that a harness put into its system prompt."""
    blocks, outside = _tagged(system_text)
    size = sum(map(len, blocks))
    for section in _sections(outside):
        if size > KEPT_MAX_CHARS:
            break
        wanted = _KEPT_HEADING.search(section.split("\n", 1)[0])
        if wanted and not any(section in block for block in blocks):
            blocks.append(section)
            size += len(section)
    kept = "\n\n".join(blocks)
    if len(kept) <= KEPT_MAX_CHARS:
        return kept
    return kept[:KEPT_MAX_CHARS] + "\n[cut here: the project's instructions are longer]"


def _tagged(text: str) -> tuple[list[str], str]:
    """The kept tags with what they hold, and the text without them. Linear: a repository's text may be in here."""
    blocks: list[str] = []
    outside: list[str] = []
    unclosed: set[str] = set()
    at = 0
    for opening in _KEPT_TAG.finditer(text):
        name = opening.group(1).lower()
        if opening.start() < at or name in unclosed:
            continue
        closing = re.compile(f"</{re.escape(name)}>", re.IGNORECASE).search(text, opening.end())
        if closing is None:
            unclosed.add(name)
            continue
        outside.append(text[at : opening.start()])
        at = closing.end()
        blocks.append(text[opening.start() : at])
    outside.append(text[at:])
    return blocks, "".join(outside)


def _sections(text: str) -> list[str]:
    """Headed sections; a section ends at the next heading of the same or a higher level.

    `Instructions from: FILE` stands above every heading: what follows is that file, with headings of its own.
    """
    marks = [(match.start(), len(match.group(1) or "")) for match in _HEADING.finditer(text)]
    ends = [len(text)] * len(marks)
    still_open: list[int] = []
    for index, (start, level) in enumerate(marks):
        while still_open and marks[still_open[-1]][1] >= level:
            ends[still_open.pop()] = start
        still_open.append(index)
    return [text[start:end].strip() for (start, _), end in zip(marks, ends, strict=True)]
