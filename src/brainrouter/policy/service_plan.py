"""What a button does: from how a service is run here to the commands that restart or upgrade it. Pure.

The services are a closed list, and every command is made here from constants and from settings, never from a request.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal

RESTARTABLE = ("llama-swap", "manifest", "llama-cpp", "brainrouter")
UPGRADABLE = ("llama-swap", "manifest", "toolbox")
UNITS = {
    "llama-swap": "llama-swap.service",
    "manifest": "manifest.service",
    "brainrouter": "brainrouter.service",
}
NAMES = {
    "llama-swap": "llama-swap",
    "manifest": "Manifest",
    "llama-cpp": "llama.cpp",
    "brainrouter": "brainrouter",
    "toolbox": "toolbox",
}
Kind = Literal[
    "user unit", "system unit", "compose", "script", "self", "container", "binary", "toolbox", "none"
]
Argv = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """How one service is run here. `allowed` is whether this user may act; `why_not` says what is in the way."""

    kind: Kind
    allowed: bool = True
    folder: str = ""
    image: str = ""
    path: str = ""
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """What would be done. Not allowed: `detail` says why, and `command` is what an administrator types."""

    allowed: bool
    detail: str
    steps: tuple[Argv, ...] = ()
    command: str | None = None
    kind: Kind = "none"


def restart_way(service: str, found: Found) -> Way:
    """How to restart a service of RESTARTABLE."""
    name, unit = NAMES[service], UNITS.get(service, "")
    match found.kind:
        case "user unit":
            block = ("--no-block",) if service == "brainrouter" else ()
            return _way(
                found, f"{name} is a service of yours.", ("systemctl", "--user", *block, "restart", unit)
            )
        case "system unit":
            return _way(found, f"{name} is a service of this machine.", _system("restart", unit))
        case "compose":
            return _way(
                found,
                f"{name} runs under Docker Compose in {found.folder}.",
                _compose(found, "restart", service),
            )
        case "script":
            return _way(found, "Runs the script of ops.llama_cpp_restart.", (found.path,))
        case "self":
            return Way(
                True, "brainrouter was started by hand; it starts itself again in its place.", kind="self"
            )
        case _:
            return Way(
                False, found.why_not or f"How {name} is run here is not known, so it cannot be restarted."
            )


def upgrade_way(component: str, found: Found, restart: Way) -> Way:
    """How to upgrade a component of UPGRADABLE; `restart` is how it is restarted afterwards."""
    match found.kind:
        case "compose":
            pull, up = _compose(found, "pull", component), _compose(found, "up", "-d", component)
            return _way(found, f"Pulls the image and recreates the container in {found.folder}.", pull, up)
        case "container":
            return _way(
                found,
                f"Pulls {found.image} and restarts the service.",
                ("docker", "pull", found.image),
                *restart.steps,
            )
        case "toolbox":
            pull = ("podman", "pull", found.image)
            remove = ("toolbox", "rm", "--force", found.path)
            make = ("toolbox", "create", "--assumeyes", "--image", found.image, "--container", found.path)
            return _way(
                found,
                f"Pulls {found.image} and makes the toolbox {found.path} anew.",
                pull,
                remove,
                make,
                *restart.steps,
            )
        case "binary":
            detail = (
                f"Replaces {found.path} by the one of the release, checked against the publisher's checksums."
            )
            if not found.allowed:
                return Way(False, found.why_not, kind="binary")
            return Way(True, detail, restart.steps if restart.allowed else (), kind="binary")
        case _:
            return Way(False, found.why_not or f"How {NAMES[component]} was installed here is not known.")


def _way(found: Found, detail: str, *steps: Argv) -> Way:
    command = " && ".join(shlex.join(step) for step in steps)
    if found.allowed:
        return Way(True, detail, steps, command, found.kind)
    sudo = " && ".join(f"sudo {shlex.join(step)}" for step in steps).replace(" --no-ask-password", "")
    return Way(False, f"{detail} {found.why_not}".strip(), (), sudo, found.kind)


def _system(verb: str, unit: str) -> Argv:
    return ("systemctl", "--no-ask-password", verb, unit)


def _compose(found: Found, *words: str) -> Argv:
    return ("docker", "compose", "--project-directory", found.folder, *words)
