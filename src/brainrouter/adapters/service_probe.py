"""Finds out how each service is run on this machine: systemd unit, Docker Compose, script, toolbox, plain binary."""

from __future__ import annotations

import grp
import json
import os
import re
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from brainrouter.adapters.commands import Done
from brainrouter.config import OpsSettings
from brainrouter.policy.service_plan import UNITS, Found

ASK_S = 10.0
ADMIN_GROUP = "aistack"
_COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_SWAP_IMAGE = re.compile(r"(?:ghcr\.io/)?[a-z0-9_.-]+/llama-swap:[A-Za-z0-9_.-]{1,128}")
_BINARY = re.compile(r"path=(/[^ ;]+)")
Run = Callable[[Sequence[str], float], Awaitable[Done]]


class ServiceProbe:
    """Asks systemctl, docker, podman; what is not installed is simply not how it is run."""

    def __init__(self, ops: OpsSettings, env: Mapping[str, str], run: Run) -> None:
        self._ops = ops
        self._env = env
        self._run = run

    async def restart(self, service: str) -> Found:
        """How a service of RESTARTABLE is run."""
        if service == "llama-cpp":
            return self._script()
        if service == "brainrouter":
            return Found("user unit") if await self._is_our_unit() else Found("self")
        unit = UNITS[service]
        if await self._loaded(("systemctl", "--user"), unit):
            return Found("user unit")
        if await self._loaded(("systemctl",), unit):
            allowed = self._may_manage_system()
            return Found(
                "system unit",
                allowed,
                why_not="" if allowed else f"Only root and the group {ADMIN_GROUP} may manage it.",
            )
        return await self._compose(service)

    async def upgrade(self, component: str, restart: Found) -> Found:
        """How a component of UPGRADABLE was installed."""
        if component == "manifest":
            return await self._compose("manifest")
        if component == "toolbox":
            return await self._toolbox()
        if restart.kind == "compose":
            return restart
        line = await self._exec_start(restart)
        image = _SWAP_IMAGE.search(line)
        if image is not None:
            return Found("container", restart.allowed, image=image.group(), why_not=restart.why_not)
        composed = await self._compose("llama-swap")  # a unit around a compose file, as install.sh makes it
        return self._binary(line) if composed.kind == "none" else composed

    async def image_of(self, service: str) -> dict[str, Any] | None:
        """The image that a compose service's container was made from, with the name it was asked for by."""
        argv = ("docker", "compose", "--project-directory", str(self.folder(service)), "ps", "-q", service)
        container = (await self._run(argv, ASK_S)).output.strip().splitlines()
        return await self._image("docker", container[0]) if container else None

    async def toolbox_image(self) -> dict[str, Any] | None:
        """The image of the toolbox's container."""
        return await self._image("podman", self._ops.toolbox)

    async def llama_server(self) -> str:
        """What the toolbox's llama-server says of its version, else the one on PATH."""
        # Not by `toolbox run`, which would start a container that is at rest.
        done = await self._run(("podman", "exec", self._ops.toolbox, "llama-server", "--version"), ASK_S)
        if not done.ok:
            done = await self._run(("llama-server", "--version"), ASK_S)
        return done.output if done.ok else ""

    async def llama_swap(self, binary: str) -> str:
        """What a llama-swap binary says of its version."""
        done = await self._run((binary, "--version"), ASK_S)
        return done.output if done.ok else ""

    def folder(self, service: str) -> Path:
        """Where a service's compose file is looked for."""
        named = self._ops.llama_swap_dir
        if service == "manifest":
            named = self._env.get("BRAINROUTER_MANIFEST_DIR") or self._ops.manifest_dir
        home = self._env.get("HOME", "/nonexistent")
        return Path(re.sub(r"^~(?=/|$)", lambda _: home, named or "/nonexistent"))

    def _script(self) -> Found:
        path = self._ops.llama_cpp_restart
        if path is None:
            return Found("none", why_not="Set ops.llama_cpp_restart to the script that restarts llama.cpp.")
        if not path.startswith("/") or not os.path.isfile(path) or not os.access(path, os.X_OK):
            return Found(
                "none",
                why_not=f"ops.llama_cpp_restart: {path} is not the full path of a program that may be run.",
            )
        return Found("script", path=path)

    async def _loaded(self, systemctl: tuple[str, ...], unit: str) -> bool:
        done = await self._run((*systemctl, "show", "--property=LoadState", "--value", unit), ASK_S)
        return done.ok and done.output.strip() == "loaded"

    async def _is_our_unit(self) -> bool:
        argv = ("systemctl", "--user", "show", "--property=MainPID", "--value", UNITS["brainrouter"])
        done = await self._run(argv, ASK_S)
        return done.ok and done.output.strip() == str(os.getpid())

    async def _compose(self, service: str) -> Found:
        folder = self.folder(service)
        if not any((folder / name).is_file() for name in _COMPOSE_FILES):
            return Found("none")
        done = await self._run(
            ("docker", "compose", "--project-directory", str(folder), "ps", "-q", service), ASK_S
        )
        if done.ok:
            return Found("compose", folder=str(folder))
        return Found("compose", False, folder=str(folder), why_not="Docker cannot be reached by this user.")

    async def _toolbox(self) -> Found:
        image = await self.toolbox_image()
        if image is None:
            return Found("none", why_not=f"There is no toolbox named {self._ops.toolbox}.")
        return Found("toolbox", path=self._ops.toolbox, image=str(image["asked"]))

    async def _exec_start(self, restart: Found) -> str:
        if restart.kind not in ("user unit", "system unit"):
            return ""
        scope = ("--user",) if restart.kind == "user unit" else ()
        argv = ("systemctl", *scope, "show", "--property=ExecStart", "--value", UNITS["llama-swap"])
        return (await self._run(argv, ASK_S)).output

    def _binary(self, exec_start: str) -> Found:
        named = _BINARY.search(exec_start)
        path = self._ops.llama_swap_binary or (
            named.group(1) if named else shutil.which("llama-swap", path=self._env.get("PATH"))
        )
        if path is None or not os.path.isfile(path):
            return Found("none", why_not="No llama-swap program was found; set ops.llama_swap_binary.")
        path = os.path.realpath(path)
        if os.path.basename(path) != "llama-swap":
            return Found(
                "none",
                why_not=f"{path} starts it, which is not the program itself; set ops.llama_swap_binary.",
            )
        allowed = os.access(os.path.dirname(path), os.W_OK)
        return Found("binary", allowed, path=path, why_not=f"{path} lies in a folder that you may not write.")

    async def _image(self, tool: str, container: str) -> dict[str, Any] | None:
        made = _first(await self._run((tool, "container", "inspect", container), ASK_S))
        if made is None:
            return None
        image = _first(await self._run((tool, "image", "inspect", str(made.get("Image", ""))), ASK_S))
        asked = made.get("ImageName") or cast("dict[str, Any]", made.get("Config") or {}).get("Image") or ""
        return None if image is None else {**image, "asked": str(asked)}

    def _may_manage_system(self) -> bool:
        if os.geteuid() == 0:
            return True
        try:
            return grp.getgrnam(ADMIN_GROUP).gr_gid in os.getgroups()
        except KeyError:
            return False


def _first(done: Done) -> dict[str, Any] | None:
    if not done.ok:
        return None
    try:
        rows = json.loads(done.output)
    except ValueError:
        return None
    row: Any = cast("list[Any]", rows)[0] if isinstance(rows, list) and rows else None
    return cast("dict[str, Any]", row) if isinstance(row, dict) else None
