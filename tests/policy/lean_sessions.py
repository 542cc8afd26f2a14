"""Sessions of the seven harnesses, as skeletons: the marks and the order that the real ones have, in words of our own.

Seen with the real clients (`python -m bench.lean`); none of their prose is here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from brainrouter.policy.lean.fingerprint import fingerprint, normal, tells
from brainrouter.policy.lean.offer import offer
from brainrouter.policy.lean.tools import readable
from brainrouter.policy.lean.turn import LeanTurn, lean_turn
from brainrouter.wire.messages import parse_messages
from brainrouter.wire.responses import parse_responses
from brainrouter.wire.translate import to_chat

HARNESSES = ("claude", "codex", "opencode", "vibe", "omp", "pi", "droid")
WORDS = "Here the maker of the harness says at length, in point {n} of many, how it would like the work to be done and told."
PROSE = "\n".join(WORDS.format(n=chr(97 + n // 26) + chr(97 + n % 26)) for n in range(60))
# Short lines that harnesses write too: alone they mean nothing.
SHORT = "```\n# Tone\n- yes\n---"
HEADS = "# Style\n# Where you are\n§ Role\nThe following skills are available for use with the Skill tool:\n# The commands below ran once at the start."
SKILL = "- painter: draws a picture whenever the user asks for a picture of something"
KNOWN = frozenset(
    fingerprint(normal(line))
    for line in "\n".join((PROSE, SHORT, HEADS, SKILL, "<rules>\n</rules>\n<docs>\n</docs>")).split("\n")
    if tells(normal(line))
)
TOOLS = ("write", "bash", "read")


@dataclass(frozen=True)
class Session:
    """What differs between sessions. `day` is what the harness says of the day, `appended` the user's own prompt."""

    harness: str
    rules: str = "Indent with tabs.\n\n## Tests\n\nRun `make test` first."
    mcp: str = "Call request_review when you are done."
    cwd: str = "/home/ann/shop"
    day: str = "2026-11-23"
    appended: str = "Answer in Dutch, and sign with Ann."
    prompt: str = "Mend the till."
    noise: int = 0

    def kept(self) -> dict[str, str]:
        """The checklist: what must reach the model, part by part."""
        parts = {"project instructions": self.rules, "folder": self.cwd, "the user's words": self.prompt}
        if self.harness not in ("pi", "vibe"):
            parts["day"] = self.day
        if self.harness not in ("codex", "vibe", "pi", "droid"):
            parts["MCP instructions"] = self.mcp
        if self.harness not in ("codex", "droid"):
            parts["the user's own prompt"] = self.appended
        return parts

    def turn(self, number: int, *, slimming: int = 1, prose: str = PROSE) -> LeanTurn:
        """The turn after `number` tool calls, as a local model gets it."""
        messages, tools = self.hub(number, prose)
        return lean_turn(messages, offer(json.dumps(tools).encode(), slimming), known=KNOWN)

    def hub(self, number: int, prose: str = PROSE) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The turn in chat completions, with whatever changes from one request to the next changed."""
        made = replace(self, noise=number)
        if self.harness == "claude":
            return _translated(
                parse_messages, {**_claude(made, prose), "tools": _tools("input_schema")}, number
            )
        if self.harness == "codex":
            return _translated(
                parse_responses, {**_codex(made, prose), "tools": _tools("parameters")}, number
            )
        opening = {"opencode": _opencode, "vibe": _vibe, "omp": _omp, "pi": _pi, "droid": _droid}[
            self.harness
        ]
        tools = readable([{"type": "function", "function": tool} for tool in _tools("parameters")])
        assert tools is not None
        return [*opening(made, prose), *_chat_calls(number)], tools


def _translated(
    parse: Any, body: dict[str, Any], number: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    key = "messages" if "messages" in body else "input"
    body[key] += _claude_calls(number) if key == "messages" else _codex_calls(number)
    chat = to_chat(parse(json.dumps({"model": "auto", **body}).encode(), {}))
    tools = readable(chat.fields["tools"])
    assert tools is not None
    return chat.messages, tools


def _claude(s: Session, prose: str) -> dict[str, Any]:
    system = [
        f"x-anthropic-billing-header: cc_version=2; cch={s.noise:05x};\n",
        "You are an agent.",
        f"{prose}\n\n# Where you are\n{SHORT}\n{prose}\n\n{s.appended}",
    ]
    instructions = (
        f"Contents of {s.cwd}/CLAUDE.md (project instructions, checked into the codebase):\n\n{s.rules}"
    )
    status = "# gitStatus\nCurrent branch: main\n\nStatus:\n?? till.py"
    later = (
        f"# Environment\n - Primary working directory: {s.cwd}\n - Platform: linux\n\n# MCP Server Instructions\n\n## desk\n"
        f"{s.mcp}\n\n\nThe following skills are available for use with the Skill tool:\n\n{SKILL}\n{prose}\n\nToday's date is {s.day}."
    )
    blocks = [
        f"<system-reminder>\n{text}\n</system-reminder>\n"
        for text in (f"{prose}\n\n{instructions}", status, prose)
    ]
    counter = f"<total_tokens>{200_000 - s.noise} tokens left</total_tokens>"
    return {
        "system": [{"type": "text", "text": text} for text in system],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": text} for text in (*blocks, s.prompt)]},
            {"role": "system", "content": later if s.noise else [{"type": "text", "text": later}]},
            {"role": "system", "content": counter},
        ],
        "max_tokens": 100,
    }


def _codex(s: Session, prose: str) -> dict[str, Any]:
    where = f"<environment_context>\n  <cwd>{s.cwd}</cwd>\n  <current_date>{s.day}</current_date>\n</environment_context>"
    rules = f"# AGENTS.md instructions for {s.cwd}\n\n<INSTRUCTIONS>\n{s.rules}\n</INSTRUCTIONS>"
    allowed = "<permissions instructions>\nEverything is allowed.\n</permissions instructions>"
    skills = f"<skills_instructions>\n{prose}\n</skills_instructions>"

    def said(role: str, *texts: str) -> dict[str, Any]:
        return {
            "type": "message",
            "role": role,
            "content": [{"type": "input_text", "text": text} for text in texts],
        }

    return {
        "input": [
            said("developer", prose),
            said("developer", skills, allowed),
            said("user", rules, where),
            said("user", s.prompt),
        ]
    }


def _opencode(s: Session, prose: str) -> list[dict[str, Any]]:
    env = f"<env>\n  Working directory: {s.cwd}\n  Platform: linux\n  Today's date: {s.day}\n</env>"
    mcp = f'<mcp_instructions>\n  <server name="desk">\n    {s.mcp}\n  </server>\n</mcp_instructions>'
    system = f"{prose}\n# Style\n{prose}\n{env}\nInstructions from: {s.cwd}/AGENTS.md\n{s.rules}\n\n{mcp}\n{s.appended}"
    return [{"role": "system", "content": system}, {"role": "user", "content": s.prompt}]


def _vibe(s: Session, prose: str) -> list[dict[str, Any]]:
    system = f"{prose}\n\nToday's date is {s.day} (Monday).\n\n## Style\n{prose}\n\nAbsolute path: {s.cwd}\n\n{s.rules}\n\n{s.appended}"
    return [{"role": "system", "content": system}, {"role": "user", "content": s.prompt}]


def _omp(s: Session, prose: str) -> list[dict[str, Any]]:
    place = "<workstation>\n- OS: linux\n</workstation>"
    rules = f'<repo-rules>\n<file path="{s.cwd}/AGENTS.md">\n{s.rules}\n</file>\n</repo-rules>'
    system = f"<rules>\n{prose}\n</rules>\n§ Role\n{prose}\n\n{place}\n\n{rules}\n\n## MCP Server Instructions\n\n### desk\n{s.mcp}\n\n{s.appended}"
    where = f"<system-reminder>\nToday: {s.day}; current working directory: '{s.cwd}'.\n</system-reminder>\n"
    parts = [{"type": "text", "text": text} for text in (where, s.prompt)]
    return [{"role": "developer", "content": system}, {"role": "user", "content": parts}]


def _pi(s: Session, prose: str) -> list[dict[str, Any]]:
    rules = f'<project_context>\n<project_instructions path="{s.cwd}/AGENTS.md">\n{s.rules}\n</project_instructions>\n</project_context>'
    system = f"<rules>\n{prose}\n</rules>\n<docs>\n{prose}\n</docs>\n\n{s.appended}\n\n{rules}\n\n<cwd>\n{s.cwd}\n</cwd>"
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": [{"type": "text", "text": s.prompt}]},
    ]


def _droid(s: Session, prose: str) -> list[dict[str, Any]]:
    place = (
        f"User system info (linux 6)\n\n# The commands below ran once at the start.\n\n% pwd\n{s.cwd}\n\n{prose}\n"
        f"% cat {s.cwd}/AGENTS.md\n<coding_guidelines>\n{s.rules}\n</coding_guidelines>"
    )
    reminders = (prose, place, f"Current date: {s.day}. Mind it.", "% git status --short\n?? till.py")
    parts = [{"type": "text", "text": f"<system-reminder>\n{text}\n</system-reminder>"} for text in reminders]
    return [
        {"role": "system", "content": prose},
        {"role": "user", "content": parts},
        {"role": "user", "content": [{"type": "text", "text": s.prompt}]},
    ]


def _tools(schema: str) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for name in TOOLS:
        properties = {
            "path": {
                "type": "string",
                "description": f"What to {name}. " + "And a great deal more about it. " * 20,
            },
            "description": {"type": "string", "title": "D", "enum": ["a", "b"]},
        }
        words = (
            f"Use it to {name}. "
            + "There is very much to be said of this tool. " * 40
            + "<example>\nx\n</example>"
        )
        shape = {"$schema": "s", "type": "object", "properties": properties, "required": ["path"]}
        made.append({"type": "function", "name": name, "description": words, schema: shape})
    if schema == "input_schema":
        for tool in made:
            del tool["type"]
    return made


def _chat_calls(number: int) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for n in range(number):
        call = {
            "id": f"c{n}",
            "type": "function",
            "function": {"name": "bash", "arguments": f'{{"path":"{n}"}}'},
        }
        made += [
            {"role": "assistant", "content": f"Step {n}.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"c{n}", "content": f"result {n}"},
        ]
    return made


def _claude_calls(number: int) -> list[dict[str, Any]]:
    """The mark of what is cached is on the last result only, and the counter after each result stays as it was told."""
    made: list[dict[str, Any]] = []
    for n in range(number):
        result: dict[str, Any] = {"type": "tool_result", "tool_use_id": f"c{n}", "content": f"result {n}"}
        if n == number - 1:
            result["cache_control"] = {"type": "ephemeral"}
        use = {"type": "tool_use", "id": f"c{n}", "name": "bash", "input": {"path": str(n)}}
        made += [
            {"role": "assistant", "content": [{"type": "text", "text": f"Step {n}."}, use]},
            {"role": "user", "content": [result]},
            {"role": "system", "content": f"<total_tokens>{9000 - n - number} tokens left</total_tokens>"},
        ]
    return made


def _codex_calls(number: int) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for n in range(number):
        made += [
            {"type": "function_call", "name": "bash", "arguments": f'{{"path":"{n}"}}', "call_id": f"c{n}"},
            {"type": "function_call_output", "call_id": f"c{n}", "output": f"result {n}"},
        ]
    return made
