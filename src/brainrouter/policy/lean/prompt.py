"""What stands in place of a harness' own prose: a text of ours, and a line for each kind of tool offered. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from brainrouter.policy.lean.everyday import of_kind, takes
from brainrouter.policy.lean.tools import Tool, tool_name

LEAN_PROMPT = """\
You are a coding agent. You work inside the user's project, through the tools you are given, until the task is done.

How to work
- What the project's own instructions and the user say counts above everything here; the nearer file above the farther.
- Do what was asked, and only that. Keep the style of the code around you.
- Look before you change: read the part of a file that you are about to edit. Never guess a path, a name or a result.
- Make one small step, look at its result, then decide on the next one. Prefer editing a file to rewriting it.
- Where a command can check a change (a test, a build), run it and read what it prints.
- Never run a command that destroys work or reaches outside the project unless the user asked for exactly that.

How to call tools
- Call only the tools that are offered, under their exact names, with arguments that fit their schema as valid JSON.
- Use the calling mechanism itself. Never write a tool call as text in an answer.
- Use absolute paths. In a shell command, quote a path that has spaces.

How not to go round in circles
- Never make the same call with the same arguments twice. What failed once fails again: change something first.
- After two failed tries at one thing, read the error again, say what you think is wrong, and take another road.
- After three failures, tell the user what you tried, what happened and what you need.
- Do not repeat a sentence, a plan or a file that you have already written. Do not announce a step; take it.
- If a file already holds what you were about to write, the step is done: go on.
- When the task is finished, say so in one or two sentences and end your turn. Do not look for more to do.

How to answer
- Be short and plain. Lead with the result. Name files as path:line.
- Never claim that something works when you did not run it.
- If it is not clear what is asked, ask one question instead of guessing.
"""


BRIEF_PROMPT = """\
You are a coding agent in the user's project. What its instructions and the user say counts above everything here.
- Do what was asked, and only that. Never guess a path, a name or a result: look first.
- Where a command can check a change, run it. Never destroy work unless the user asked for exactly that.
- Never make the same call twice. What failed once fails again: change something. After three failures ask the user.
- Do not announce a step; take it. When the task is finished, say so in one or two sentences and end your turn.
"""


def lean_prompt(
    tools: Sequence[Tool], override: str | None = None, rule: str = "", *, brief: bool = False
) -> str:
    """The user's own prompt (`override`) as it is, or ours with a rule for each kind of tool among `tools`, and `rule`.

    The rules name the tools as they are offered here, since every harness calls them otherwise. The `brief` one is for
    a harness that says little itself.
    """
    if override:
        return override.strip()
    rules = [said for said in (*(kind(tools) for kind in _KINDS), rule) if said]
    if brief:
        return BRIEF_PROMPT + "\n".join(rules)
    return LEAN_PROMPT.strip() + ("\n\nThe tools here\n" + "\n".join(rules) if rules else "")


def _shell(tools: Sequence[Tool]) -> str:
    name = _first(of_kind("shell", tools))
    return name and f"- `{name}` runs one command, which must end by itself."


def _read(tools: Sequence[Tool]) -> str:
    name = _first(of_kind("read", tools))
    return name and f"- `{name}` shows a file. Of a long one ask for the part that you need."


def _edit(tools: Sequence[Tool]) -> str:
    copied = "is copied from the file exactly, spaces included, and occurs there once."
    for tool in of_kind("edit", tools):
        name, taken = tool_name(tool), takes(tool)
        for old in ("old_string", "oldString", "old_str"):
            if old in taken:
                return f"- `{name}` replaces text: `{old}` {copied}"
        if "edits" in taken:
            return f"- `{name}` replaces text: each old text {copied}"
        if taken & {"input", "patch"}:
            return f"- `{name}` takes its changes in a form of its own: follow its description to the letter."
    return ""


def _write(tools: Sequence[Tool]) -> str:
    name = _first(of_kind("write", tools))
    return name and f"- `{name}` makes or replaces a whole file."


def _search(tools: Sequence[Tool]) -> str:
    names = [tool_name(tool) for tool in of_kind("search", tools)]
    return f"- Use {_and(names)} before you guess a path." if names else ""


def _delegate(tools: Sequence[Tool]) -> str:
    name = _first([tool for tool in tools if takes(tool) & {"subagent_type", "agent_type", "tasks"}])
    return name and f"- `{name}` starts another agent: only where the user asks for one."


_KINDS: tuple[Callable[[Sequence[Tool]], str], ...] = (_shell, _read, _edit, _write, _search, _delegate)


def _first(tools: Sequence[Tool]) -> str:
    return tool_name(tools[0]) if tools else ""


def _and(names: list[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + f" and {quoted[-1]}"
