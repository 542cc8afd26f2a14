"""Sessions of the real harnesses, recorded at the fake Manifest: what each of them sends, turn by turn."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.clients.install import ensure
from tests.clients.rig import Home, stage
from tests.clients.roster import CLIENTS, Client
from tests.daemon import ROOT, Stage
from tests.sim import scripts

FOLDER = ROOT / ".cache" / "lean"  # the prompts are their makers': they stay on this machine
RULES = "# Rules of the lean bench\n\nIndent with lean-bench tabs.\n\n## Tests\n\nRun `make lean-bench` before you finish.\n"
PROMPT = "Create a file hello.txt with a greeting for the lean bench"
APPENDED = "Sign each answer of the lean bench with the word Marigold."
# How a user adds to what a client tells the model: on the command line, or in a file at home.
APPEND: dict[str, tuple[str, ...]] = {
    "claude": ("--append-system-prompt", APPENDED),
    "codex": ("-c", f'developer_instructions="{APPENDED}"'),
    "omp": (f"--append-system-prompt={APPENDED}",),
    "pi": ("--append-system-prompt", APPENDED),
    "droid": ("--append-system-prompt", APPENDED),
}
APPEND_FILE = {"opencode": ".config/opencode/AGENTS.md", "vibe": ".vibe/AGENTS.md"}
WAITING_AT = 2  # early, so that short looks at a session have it too
# Names of models that make a harness send another prompt than `auto` does.
VARIANTS = (
    ("claude", "claude-sonnet-4-5", {}),
    ("claude", "claude-opus-5-5", {}),
    ("claude", "cloud", {"ENABLE_TOOL_SEARCH": "false"}),
    ("codex", "gpt-5.6-sol", {}),
)


def record(turns: int, only: str | None = None) -> None:
    """Run every client through a session of so many turns, and keep what it sent."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with stage() as made:
        for client in CLIENTS:
            if only in (None, client.name):
                _record(made, client, "cloud", {}, turns, FOLDER / f"{client.name}.json")
                _record(
                    made, _appending(client), "cloud", {}, 2, FOLDER / f"{client.name}~own.json", own=True
                )
        for at, (name, model, env) in enumerate(VARIANTS):
            if only is None:
                client = next(one for one in CLIENTS if one.name == name)
                _record(made, client, model, env, 1, FOLDER / f"{name}~{at}.json")


def _appending(client: Client) -> Client:
    own = APPEND.get(client.name, ())
    return replace(client, argv=lambda model, prompt: [*client.argv(model, prompt), *own])


def recorded() -> dict[str, list[dict[str, Any]]]:
    """The requests that each client sent, in order; variants are named `client~n`, those with the user's own prompt `client~own`."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.json"))}


def _record(
    made: Stage, client: Client, model: str, env: dict[str, str], turns: int, file: Path, *, own: bool = False
) -> None:
    for name in (client.name, *client.needs):
        ensure(name)
    home = Home(Path(tempfile.mkdtemp(prefix="lean-")) / "home")
    home.make(made.daemon)
    home.env.update(env)
    for name in ("AGENTS.md", "CLAUDE.md"):
        (home.project / name).write_text(RULES, encoding="utf-8")
    if own and client.name in APPEND_FILE:
        path = home.path / APPEND_FILE[client.name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{APPENDED}\n", encoding="utf-8")
    home.brainrouter("install", client.name, "--yes")
    for side in (made.manifest, made.llama_swap):
        side.reset()
        for turn in range(turns - 1):
            call = scripts.calls(_call(client, turn), text=f"Step {turn}.")
            side.queue({**call, "match": {"contains": f'"{client.tool}"'}})
        side.script(scripts.answer("It is done."))
    done = home.client(client, model, PROMPT)
    asked = [entry for entry in made.manifest.requests() if entry["method"] == "POST" and entry["body"]]
    asked += [entry for entry in made.llama_swap.requests() if entry["method"] == "POST" and entry["body"]]
    kept = [{"path": entry["path"], "headers": entry["headers"], "body": entry["body"]} for entry in asked]
    file.write_text(json.dumps(kept), encoding="utf-8")
    print(f"{file.stem}: exit {done.returncode}, {len(kept)} requests", flush=True)


def _call(client: Client, turn: int) -> tuple[str, dict[str, Any]]:
    """What the model calls at a turn: the shell, a file shown now and then, and once a tool that waits at level 2."""
    if turn == WAITING_AT:
        return client.waiting
    step = "cat AGENTS.md" if turn % 5 == 4 else f"echo step {turn}"
    told = {"command": step, "cmd": step}
    return client.tool, {name: told.get(name, value) for name, value in client.arguments.items()}
