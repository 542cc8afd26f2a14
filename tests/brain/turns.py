"""One request of each kind that the seven harnesses send: the shapes measured on the wire, the words our own."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from brainrouter.wire.ask import Ask
from brainrouter.wire.chat import parse_chat
from brainrouter.wire.messages import parse_messages
from brainrouter.wire.responses import parse_responses

PROSE = "You are a coding agent. Read before you edit, keep to the conventions of the repository. " * 60
NAMES = ("read", "edit", "write", "bash", "grep", "glob", "task", "todowrite", "webfetch", "skill")
CHAT_TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in NAMES
]
CLAUDE_TOOLS = [{"name": name.title(), "input_schema": {"type": "object"}} for name in NAMES]
CODEX_TOOLS = [
    *(
        {"type": "function", "name": name, "parameters": {}}
        for name in ("exec_command", "apply_patch", "update_plan")
    ),
    {"type": "namespace", "name": "mcp__brainrouter", "tools": [{"name": "request_review"}]},
    {"type": "web_search"},
]
CLAUDE = {"user-agent": "claude-cli/2.1.330 (external, cli)", "x-claude-code-session-id": "c-1"}
CODEX = {"user-agent": "codex_exec/0.169.0", "session-id": "x-1", "thread-id": "x-1"}
OPENCODE = {"user-agent": "opencode/1.18.33", "x-session-id": "o-1"}
VIBE = {"user-agent": "mistral-vibe/3.0.2", "x-affinity": "v-1"}
OMP = {"user-agent": "omp/18.2.3"}
PI = {"user-agent": "pi/1.5.2"}
DROID = {"user-agent": "factory-cli/0.215.0"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "bash", "arguments": '{"command": "ls"}'}}
GREETING = "Create a file hello.txt with a greeting"
ORDER = (
    "Write a complete summary of this conversation so that another agent can go on with the work. Name the goal, what "
    "was decided, which files were touched and how, what failed and how it was solved, and what is left to be done. "
    "Keep the user's own wishes word for word where they matter. Do not call tools; answer in plain text with a heading "
    "for each of these parts, and leave nothing out that would have to be found again. Be exact about paths and names."
)


@dataclass(frozen=True)
class Sample:
    """A request as it comes, and the kind that it is."""

    name: str
    kind: str
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def ask(self) -> Ask:
        parse = parse_responses if "input" in self.body else parse_chat
        if "system" in self.body:
            parse = parse_messages
        return parse(json.dumps(self.body).encode(), self.headers)


def chat(
    *messages: dict[str, Any], tools: list[dict[str, Any]] | None = None, system: str = PROSE, **more: Any
) -> dict[str, Any]:
    return {
        "model": "auto", "stream": True, **more, **({"tools": tools} if tools else {}),
        "messages": [{"role": "system", "content": system}, *messages],
    }  # fmt: skip


def claude(
    *messages: dict[str, Any], tools: list[dict[str, Any]], system: str = PROSE, **more: Any
) -> dict[str, Any]:
    blocks = [{"type": "text", "text": part} for part in ("billing: cli", "You are Claude Code.", system)]
    return {"model": "auto", "stream": True, "max_tokens": 32000, "system": blocks, "tools": tools,
            "messages": list(messages), **more}  # fmt: skip


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


LOOP = (
    user(GREETING),
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "README.md"},
)
CLAUDE_LOOP = (
    user(GREETING),
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}}],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "README.md"}]},
)
CODEX_ITEMS = [
    {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": PROSE}]},
    {
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "<environment_context>\n<cwd>/x</cwd>\n</environment_context>"}
        ],
    },
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": GREETING}]},
]
CODEX_LOOP = [
    *CODEX_ITEMS,
    {"type": "function_call", "call_id": "c1", "name": "exec_command", "arguments": '{"cmd": "ls"}'},
    {"type": "function_call_output", "call_id": "c1", "output": "README.md"},
]
TITLE_SCHEMA = {
    "format": {
        "type": "json_schema",
        "schema": {"type": "object", "properties": {"title": {"type": "string"}}},
    }
}
TALK = [
    user("add a flag"),
    {"role": "assistant", "content": "Done."},
    user("and a test"),
    {"role": "assistant", "content": "Done."},
]
REMINDED = {"role": "user", "content": [
    {"type": "text", "text": "<system-reminder>\nToday is a day.\n</system-reminder>"}, {"type": "text", "text": GREETING},
]}  # fmt: skip

SAMPLES = (
    Sample("claude, first turn", "main", claude(REMINDED, tools=CLAUDE_TOOLS), CLAUDE),
    Sample("claude, reminder as a system message", "main",
           claude(user(GREETING), {"role": "system", "content": PROSE}, tools=CLAUDE_TOOLS), CLAUDE),
    Sample("claude, tool result", "continuation", claude(*CLAUDE_LOOP, tools=CLAUDE_TOOLS), CLAUDE),
    Sample("claude, tool result with a reminder beside it", "continuation",
           claude(*CLAUDE_LOOP[:2], {"role": "user", "content": [
               {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "README.md"}]},
               {"type": "text", "text": "<system-reminder>\nkeep going\n</system-reminder>"}]}, tools=CLAUDE_TOOLS), CLAUDE),
    Sample("claude, session title", "title",
           claude(user("fix it"), tools=[], system="Say in a few words what this is about.", output_config=TITLE_SCHEMA), CLAUDE),
    Sample("claude, subagent", "subagent", claude(user("Find where sessions are kept"), tools=CLAUDE_TOOLS[:5]),
           {**CLAUDE, "x-claude-code-agent-id": "a-1"}),
    Sample("claude, small model without tools", "small",
           {**claude(user("What does this page say?"), tools=[]), "model": "claude-haiku-4-5"}, CLAUDE),
    Sample("claude, quota probe", "probe",
           {"model": "claude-haiku-4-5", "max_tokens": 1, "system": "", "messages": [user("quota")]}, CLAUDE),
    Sample("claude, compaction", "compaction", claude(*TALK, user(ORDER), tools=CLAUDE_TOOLS), CLAUDE),
    Sample("claude, command check", "check",
           claude(user("git status; rm -rf x"), tools=[], system="Tell the prefix of a command and whether it is safe."), CLAUDE),
    Sample("codex, first turn", "main", {"model": "auto", "stream": True, "input": CODEX_ITEMS, "tools": CODEX_TOOLS}, CODEX),
    Sample("codex, tool output", "continuation", {"model": "auto", "stream": True, "input": CODEX_LOOP, "tools": CODEX_TOOLS}, CODEX),
    Sample("codex, compaction", "compaction",
           {"model": "auto", "input": [*CODEX_LOOP, {"type": "message", "role": "user", "content": [{"type": "input_text", "text": ORDER}]}]}, CODEX),
    Sample("opencode, first turn", "main", chat(user(GREETING), tools=CHAT_TOOLS), OPENCODE),
    Sample("opencode, tool result", "continuation", chat(*LOOP, tools=CHAT_TOOLS), OPENCODE),
    Sample("opencode, title", "title",
           chat(user("Make a title for what follows:"), user(GREETING), system="You make titles. One line. " * 40), OPENCODE),
    Sample("opencode, subagent", "subagent", chat(user("Look for the parser"), tools=CHAT_TOOLS[:6]),
           {**OPENCODE, "x-parent-session-id": "o-0"}),
    Sample("opencode, compaction", "compaction", chat(*TALK, user(ORDER)), OPENCODE),
    Sample("vibe, first turn", "main", chat(user(GREETING), tools=CHAT_TOOLS, temperature=0.2), VIBE),
    Sample("vibe, tool result", "continuation",
           chat(LOOP[0], LOOP[1], {**LOOP[2], "name": "bash"}, tools=CHAT_TOOLS), VIBE),
    Sample("omp, first turn", "main", chat(user(GREETING), tools=CHAT_TOOLS, max_completion_tokens=30000), OMP),
    Sample("omp, tool result", "continuation", chat(*LOOP, tools=CHAT_TOOLS), OMP),
    Sample("omp, title", "title", chat(user(GREETING), system="Say what this is in five words.", temperature=0), OMP),
    Sample("pi, first turn", "main", chat({"role": "user", "content": [{"type": "text", "text": GREETING}]}, tools=CHAT_TOOLS[:4]), PI),
    Sample("pi, tool result", "continuation", chat(*LOOP, tools=CHAT_TOOLS[:4]), PI),
    Sample("droid, first turn after reminders", "main",
           chat({"role": "user", "content": [{"type": "text", "text": "<system-reminder>\nx\n</system-reminder>"}] * 6},
                user(GREETING), tools=CHAT_TOOLS, temperature=1), DROID),
    Sample("droid, tool result", "continuation", chat(*LOOP, tools=CHAT_TOOLS), DROID),
    Sample("no harness, no tools", "main", {"model": "auto", "messages": [user("why is the sky blue")]}),
    Sample("no harness, a person asks for a summary", "main", {"model": "auto", "messages": [*TALK, user("summarize our session handling code")]}),
    Sample("aider, no tools", "main", chat(user("add a flag"), system="Act as an expert programmer. " * 40), {"user-agent": "litellm"}),
)  # fmt: skip
