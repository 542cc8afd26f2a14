"""What attacks are made on: a daemon with a key, a project, services and both fakes; and raw requests."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import tempfile
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Self

import yaml

from tests.daemon import Answer, Daemon
from tests.faults.catalogue import Trial
from tests.repos import make_repo, write
from tests.sim.handle import ROOT, SimLlamaSwap, SimManifest
from tests.sim.scripts import answer
from tests.sim.services import SimServices, full_house

APPROVES = "STATUS: approved\nAll good."
SESSION = "3f0c1d7e-0000-4000-8000-000000000000"
_FILLED = {"id": SESSION, "service": "llama-swap", "component": "manifest", "file": "x.js"}


class Fort:
    """The daemon under attack. What it must never do leaves `marker`; what it must never say is `key`."""

    key = "mnfst_canary7hJq2LmXc9VdRt4W"

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fort-"))
        self.marker = self.folder / "ran"
        self.command = self.folder / "evil.sh"
        self.command.write_text(f"#!/bin/sh\ntouch {self.marker}\n", encoding="utf-8")
        self.command.chmod(0o755)
        self.manifest, self.llama_swap = SimManifest("--key", self.key), SimLlamaSwap()
        self.services: SimServices = full_house(self.folder / "bin", self.folder / "manifest")
        self._shelf = contextlib.ExitStack()
        self.daemon: Daemon

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as shelf:
            shelf.enter_context(self.manifest)
            shelf.enter_context(self.llama_swap)
            self.daemon = Daemon(
                manifest=f"{self.manifest.url}/v1",
                llama_swap=f"{self.llama_swap.url}/v1",
                key=self.key,
                config={"ops": {"check_updates": False}, "llama_swap": {"fallback_model": "gemma-small"}},
                env={
                    "PATH": f"{self.services.folder}:{os.environ['PATH']}",
                    "GIT_EXTERNAL_DIFF": str(self.command),
                    "GIT_CONFIG_COUNT": "1",
                    "GIT_CONFIG_KEY_0": "core.fsmonitor",
                    "GIT_CONFIG_VALUE_0": str(self.command),
                },
            )
            shelf.enter_context(self.daemon)
            self._shelf = shelf.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._shelf.close()

    @property
    def sims(self) -> tuple[SimManifest, SimLlamaSwap]:
        return self.manifest, self.llama_swap

    @property
    def project(self) -> Path:
        return self.daemon.home / "project"

    def clean(self) -> None:
        """As good as new; a daemon that has ended is a broken promise."""
        self.daemon.must_run()
        for sim in self.sims:
            sim.reset()
            sim.script(answer(APPROVES))
        self.rested()
        self.manifest.script(answer(APPROVES))
        self.marker.unlink(missing_ok=True)
        (self.services.folder / "calls.jsonl").unlink(missing_ok=True)

    def rested(self) -> None:
        """The cloud's breaker closed again, by a good answer."""
        if self.daemon.health()["breakers"]:
            self.manifest.script(answer("good"))
            assert self.daemon.chat("cloud").side == "cloud", "the cloud rests: too many failures in a row"

    def repository(self, name: str, files: Mapping[str, str] | None = None) -> Path:
        """A project of the user with a change that is not committed."""
        repo = make_repo(self.daemon.home / name)
        write(repo, {"a.py": "def add(a, b):\n    return b + a\n", **(files or {})})
        return repo

    def review(self, task: str, cwd: Path | str, **more: Any) -> Answer:
        """One round of a review of what lies in `cwd`."""
        body = {"taskId": task, "summary": "adds add", "cwd": str(cwd), **more}
        return self.daemon.send("POST", "/review/api/request", body)

    def asked(self) -> list[dict[str, Any]]:
        """The generations that the fakes were asked for."""
        return [request for sim in self.sims for request in sim.requests() if request["method"] == "POST"]

    def token(self) -> str:
        """What the page holds that may restart things."""
        found = re.search(r'brainrouter-token" content="([^"]+)"', self.daemon.send("GET", "/").body.decode())
        assert found is not None
        return found.group(1)


def fort_of(trial: Trial) -> Fort:
    """The fort that rows share, clean."""
    fort = trial.shared("fort", Fort)
    fort.clean()
    return fort


@cache
def routes() -> tuple[tuple[str, str], ...]:
    """Method and path of every route; openapi.yaml is held to the route table by a test of its own."""
    page = yaml.safe_load((ROOT / "openapi.yaml").read_text(encoding="utf-8"))
    return tuple(
        (method.upper(), re.sub(r"\{(\w+)\}", lambda name: _FILLED[name[1]], path))
        for path, methods in page["paths"].items()
        for method in methods
    )


def raw(daemon: Daemon, head: str | bytes, body: bytes = b"", *, unix: bool = False) -> Answer:
    """One request in exactly these bytes: `head` without the empty line at its end."""
    start = head.encode("latin-1") if isinstance(head, str) else head
    with contextlib.closing(_connected(daemon, unix=unix)) as connection:
        connection.sendall(start + b"\r\n\r\n" + body)
        reply = http.client.HTTPResponse(connection)
        with contextlib.closing(reply):
            reply.begin()
            found = {name.lower(): value for name, value in reply.getheaders()}
            return Answer(reply.status, found, _some_of(reply))


def asks(
    daemon: Daemon, method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes | None = None
) -> Answer:
    """One request with these headers, and with our own Host where they say none."""
    lines = list(headers)
    if not any(name.lower() == "host" for name, _ in lines):
        lines.insert(0, ("host", f"127.0.0.1:{daemon.port}"))
    if body is not None:
        lines.append(("content-length", str(len(body))))
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines)])
    return raw(daemon, head, body or b"")


def _connected(daemon: Daemon, *, unix: bool) -> socket.socket:
    if not unix:
        return socket.create_connection(("127.0.0.1", daemon.port), timeout=10)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(str(daemon.socket_path))
    return connection


def _some_of(reply: http.client.HTTPResponse) -> bytes:
    """The whole body; of a stream of events that goes on for ever, what is there first."""
    if (
        "event-stream" in (reply.getheader("content-type") or "")
        and reply.getheader("content-length") is None
    ):
        return reply.read1(65536)
    return reply.read()
