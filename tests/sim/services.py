"""Fakes of systemctl, docker, podman and toolbox: real programs in a folder for PATH, with their state beside them.

`state.json` there says what exists and how it is; `calls.jsonl` keeps what was called. Keys of the state:
user_units, system_units {unit: {"ExecStart", "MainPID"}}, containers {name or id: inspect}, images {id: inspect},
services {compose service: container}, fail {"first two words": text}, docker false (not reachable), pulled {image: id}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PROGRAM = """#!{python} -IS
import json, sys
from pathlib import Path
here = Path(__file__).resolve().parent
state = json.loads((here / "state.json").read_text())
name, words = Path(__file__).name, sys.argv[1:]
with (here / "calls.jsonl").open("a") as log:
    log.write(json.dumps([name, *words]) + "\\n")

def end(text="", code=0):
    if text:
        print(text)
    sys.exit(code)

plain = [word for word in words if not word.startswith("-")]
for what, text in state.get("fail", {{}}).items():
    if what in " ".join([name, *words]):
        end(text, 1)
if name == "systemctl":
    units = state.get("user_units" if "--user" in words else "system_units", {{}})
    verb, unit = plain[0], plain[-1]
    if verb == "show":
        wanted = next(word for word in words if word.startswith("--property=")).partition("=")[2]
        found = units.get(unit)
        if wanted == "LoadState":
            end("loaded" if found is not None else "not-found")
        end(str((found or {{}}).get(wanted, "")))
    end() if unit in units else end(f"Unit {{unit}} not found.", 5)
if name in ("docker", "podman"):
    if name == "docker" and state.get("docker") is False:
        end("permission denied while trying to connect to the docker API", 1)
    if plain[0] == "compose":
        rest = plain[2:]
        if rest[0] == "ps":
            end(state.get("services", {{}}).get(rest[-1], ""))
        print(f" Container {{rest[-1]}}  {{rest[0]}}")
        end(f" Container {{rest[-1]}}  done")
    if plain[:2] in (["container", "inspect"], ["image", "inspect"]):
        found = state.get(plain[0] + "s", {{}}).get(plain[2])
        end(json.dumps([found])) if found else end(f"no such {{plain[0]}}", 1)
    if plain[0] == "exec":
        end(state["llama_server"]) if "llama_server" in state else end("no such container", 1)
    if plain[0] == "pull":
        print("Trying to pull " + plain[1])
        end("Writing manifest to image destination")
    end("unknown command", 125)
end(f"{{name}}: done")
"""


class SimServices:
    """The folder of programs. Put `folder` first on PATH."""

    def __init__(self, folder: Path, **state: Any) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.state = state
        self.save()
        for name in ("systemctl", "docker", "podman", "toolbox"):
            program = folder / name
            program.write_text(PROGRAM.format(python=sys.executable), encoding="utf-8")
            program.chmod(0o755)

    def save(self, **changes: Any) -> None:
        """Change the state."""
        self.state |= changes
        (self.folder / "state.json").write_text(json.dumps(self.state), encoding="utf-8")

    def calls(self, *start: str) -> list[list[str]]:
        """The commands that began with these words, oldest first."""
        log = self.folder / "calls.jsonl"
        lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
        return [call for call in map(json.loads, lines) if call[: len(start)] == list(start)]

    def changes(self) -> list[list[str]]:
        """The commands that change something."""
        asking = {"show", "ps", "inspect", "exec"}
        return [call for call in self.calls() if not asking & set(call)]


MANIFEST_ID = "sha256:" + "ab" * 32
TOOLBOX_ID = "sha256:" + "cd" * 32
OLD, NEW = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def full_house(folder: Path, compose: Path) -> SimServices:
    """llama-swap as a user unit, Manifest under compose, a toolbox: all of it with something newer to be had."""
    compose.mkdir(parents=True, exist_ok=True)
    (compose / "docker-compose.yml").write_text("services: {manifest: {}}\n", encoding="utf-8")
    made = {"Image": MANIFEST_ID, "Config": {"Image": "manifestdotbuild/manifest:latest"}}
    toolbox = {"Image": TOOLBOX_ID, "ImageName": "docker.io/kyuz0/amd-strix-halo-toolboxes:vulkan-radv"}
    image = {
        "Id": MANIFEST_ID,
        "Created": "2026-08-14T10:00:00Z",
        "RepoDigests": [f"manifestdotbuild/manifest@{OLD}"],
    }
    labels = {"org.opencontainers.image.version": "42"}
    return SimServices(
        folder,
        user_units={"llama-swap.service": {"ExecStart": ""}},
        services={"manifest": "c0ffee"},
        containers={"c0ffee": made, "llama-vulkan-radv": toolbox},
        images={
            MANIFEST_ID: image,
            TOOLBOX_ID: {
                "Id": TOOLBOX_ID,
                "Created": "2026-07-01T00:00:00Z",
                "Digest": OLD,
                "Labels": labels,
            },
        },
        llama_server="version: 6123 (abc1234)\nbuilt with cc",
    )
