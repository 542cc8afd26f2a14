"""Every client, set up by `install`, writes a file through the daemon, and gets its files back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.install import NoPython, ensure
from tests.clients.lived_in import FILES, move_in
from tests.clients.rig import BRAINROUTER, Home, files_of, script_tool_loop
from tests.clients.roster import CLIENTS, WRITTEN, Client
from tests.clients.table import Table
from tests.daemon import Stage

pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]
SCENARIOS = {"local": "local", "cloud": "cloud", "as installed": None}
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_does_a_tool_loop_and_gets_its_files_back(
    client: Client, scenario: str, between: Stage, table: Table, tmp_path: Path
):
    if not _is_here(client, table, scenario, "review tool offered", "files after uninstall"):
        return
    home = Home(tmp_path / "home")
    home.make(between.daemon)
    before = move_in(home.path, client.name) if scenario == "cloud" else {}

    _ours(home, "install", client.name, "--yes")
    installed = files_of(home.path)
    changed = {name for name in installed if installed[name] != before.get(name)}
    again = _ours(home, "install", client.name, "--yes")
    assert "Nothing to change" in again
    assert files_of(home.path) == installed

    _tool_loop(client, scenario, home, between, table)

    used = files_of(home.path)
    _ours(home, "uninstall", client.name, "--yes")
    left = files_of(home.path)
    rewritten = {name for name in changed if used.get(name) != installed[name]}
    for name in sorted((changed | before.keys()) - rewritten):
        assert left.get(name) == before.get(name), f"{name} was not restored"
    for name in sorted(rewritten):
        assert b"brainrouter" not in left.get(name, b"").replace(str(home.project).encode(), b""), name
    if before:
        assert FILES[client.name].keys() == before.keys()
    word = "restored byte for byte"
    table.set(client.name, "files after uninstall", word)
    for name in sorted(rewritten):
        table.set(client.name, "files after uninstall", f"`{name}`: written to by the client, ours gone")


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_is_run_once_without_a_word_in_its_files(
    client: Client, between: Stage, table: Table, tmp_path: Path
):
    if not _is_here(client, table, "run"):
        return
    home = Home(tmp_path / "home")
    home.make(between.daemon)
    before = move_in(home.path, client.name)
    script_tool_loop(between.manifest, client)
    done = home.run_once(client)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert (home.project / "hello.txt").read_text(encoding="utf-8") == WRITTEN
    after = files_of(home.path)
    ours = str(BRAINROUTER).encode()
    assert [name for name, data in after.items() if ours in data or b"brainrouter/auto" in data] == []
    if client.name != "claude":  # which counts its starts in its file
        assert {name: after[name] for name in before} == before
    table.set(client.name, "run", "✓")


def _is_here(client: Client, table: Table, *columns: str) -> bool:
    """Whether the client can be had; where this machine has no Python for it, the table says so."""
    try:
        for name in ("node", client.name, *client.needs):
            ensure(name)
    except NoPython as error:
        for column in columns:
            table.set(client.name, column, f"**NOT RUN: {error}**")
        return False
    return True


def _ours(home: Home, *arguments: str) -> str:
    done = home.brainrouter(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _tool_loop(client: Client, scenario: str, home: Home, between: Stage, table: Table) -> None:
    local = scenario == "local"
    side, other = (between.llama_swap, between.manifest) if local else (between.manifest, between.llama_swap)
    script_tool_loop(other, client)
    script_tool_loop(side, client)
    done = home.client(client, SCENARIOS[scenario])

    said = f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}\n{between.daemon.log()[-2000:]}"
    assert done.returncode == 0, said
    assert (home.project / "hello.txt").read_text(encoding="utf-8") == WRITTEN, said
    assert "greeting is in hello.txt" in done.stdout, said
    asked = [entry for entry in side.requests() if entry["method"] == "POST" and entry["body"]]
    paths = {entry["path"] for entry in asked}
    assert paths == ({"/v1/chat/completions"} if local else {PATHS[client.protocol]})
    with_tools = [entry for entry in asked if entry["body"].get("tools")]
    assert len(with_tools) >= 2, f"{len(with_tools)} requests with tools"
    assert "brainrouter" in with_tools[-1]["text"], "the tool's call and result came back"
    table.set(client.name, scenario, "✓")
    if (
        not local
    ):  # where the system prompt, in which some clients name their servers' tools, is passed on whole
        _review_tool(client, with_tools[-1]["text"], table)


def _review_tool(client: Client, text: str, table: Table) -> None:
    assert client.review_tool in text, f"{client.review_tool} is not offered to the model"
    table.set(client.name, "review tool offered", f"`{client.review_tool}`")


def test_the_lived_in_files_are_what_they_claim():
    assert set(FILES) == {client.name for client in CLIENTS}
    for files in FILES.values():
        for name, text in files.items():
            if name.endswith(".json") and "//" not in text.replace("://", ""):
                json.loads(text)
