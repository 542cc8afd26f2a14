"""A real browser before the real daemon, which stands among fakes of everything around it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, sync_playwright

from brainrouter.adapters.child_process import free_port
from tests.daemon import Answer, Daemon, eventually
from tests.repos import make_repo
from tests.sim.handle import SimLlamaSwap, SimManifest
from tests.sim.releases import SimReleases, program
from tests.sim.services import SimServices, full_house

MODELS: list[dict[str, Any]] = [
    {"id": "qwen3-coder-30b", "context": 32768, "tools": True, "description": "a coder"},
    {"id": "gemma-3-12b", "context": 8192},
]


@dataclass
class World:
    """Everything that a page can show."""

    daemon: Daemon
    manifest: SimManifest
    llama_swap: SimLlamaSwap
    services: SimServices
    project: Path

    def clean(self) -> None:
        for sim in (self.manifest, self.llama_swap):
            sim.reset()
            sim.listen("open")
        if self.resting():
            # A test before this one made the cloud rest for seconds; where it is for a minute, nobody here needs it.
            with contextlib.suppress(AssertionError):
                eventually(
                    lambda: (
                        self.daemon.chat("cloud", "is the cloud back?").status == 200 and not self.resting()
                    ),
                    10,
                )
        usual = {"forced_mode": "auto", "forced_model": None, "max_iterations": 5}
        assert self.daemon.send("POST", "/api/review-config", usual).status == 200

    def resting(self) -> bool:
        """Whether the cloud's circuit breaker is open."""
        return self.daemon.health()["breakers"].get("cloud", {}).get("phase", "closed") != "closed"

    def review(self, task: str, **fields: Any) -> dict[str, Any]:
        """One round of a review."""
        body = {
            "taskId": task,
            "summary": "Adds a retry to the upload client.",
            "cwd": str(self.project),
            **fields,
        }
        found: Answer = self.daemon.send("POST", "/review/api/request", body)
        assert found.status == 200, found
        return found.json()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        program_file = shutil.which("chromium")
        assert program_file, "Chromium is not installed; `make e2e` does that"
        opened = playwright.chromium.launch(executable_path=program_file, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("house")
    services = full_house(folder / "bin", folder / "manifest")
    binary = folder / "opt" / "llama-swap"
    binary.parent.mkdir()
    binary.write_bytes(program("v250"))
    binary.chmod(0o755)
    with contextlib.ExitStack() as stack:
        releases = stack.enter_context(SimReleases())
        manifest = stack.enter_context(SimManifest())
        local = stack.enter_context(SimLlamaSwap(models=MODELS))
        ops = {
            "manifest_dir": str(folder / "manifest"),
            "release_api": releases.url,
            "image_api": releases.url,
            "llama_swap_binary": str(binary),
        }
        daemon = Daemon(
            manifest=f"{manifest.url}/v1",
            llama_swap=f"{local.url}/v1",
            config={
                "ops": ops,
                "llama_swap": {"fallback_model": "gemma-3-12b"},
                "prices": {"cloud_input_per_mtok": 3, "cloud_output_per_mtok": 15},
            },
            env={"PATH": f"{services.folder}:{os.environ['PATH']}"},
            arguments=("--tcp-addr", f"127.0.0.1:{free_port()}"),  # one that it can come back to
        )
        stack.enter_context(daemon)
        project = daemon.home / "uploader"
        make_repo(project)
        yield World(daemon, manifest, local, services, project)


@pytest.fixture
def world(built: World) -> World:
    built.clean()
    return built


@dataclass
class Watched:
    """What a page must not do: open dialogs, break its policy, fail, or ask anybody else."""

    dialogs: list[str] = field(default_factory=list[str])
    errors: list[str] = field(default_factory=list[str])
    strangers: list[str] = field(default_factory=list[str])

    def follow(self, page: Page, own: str) -> None:
        def dialog(opened: Dialog) -> None:
            self.dialogs.append(opened.message)
            opened.dismiss()

        def console(message: ConsoleMessage) -> None:
            # What the page is told of a refused action is shown to the person and is no error of its own.
            refusals = (
                "status of 409",
                "status of 429",
                "status of 503",
                "ERR_CONNECTION_REFUSED",
                "ERR_INCOMPLETE",
            )
            if message.type == "error" and not any(text in message.text for text in refusals):
                self.errors.append(message.text)

        def asked(request: Request) -> None:
            if not request.url.startswith((own, "data:")):
                self.strangers.append(request.url)

        page.on("dialog", dialog)
        page.on("console", console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", asked)


Open = Callable[..., Page]


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def show(browser: Browser, world: World, watched: Watched) -> Iterator[Open]:
    """Open a page of the dashboard; at the end it must have behaved."""
    contexts = contextlib.ExitStack()

    def opened(path: str = "/", *, width: int = 1440, height: int = 1000, scheme: Any = "light") -> Page:
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
        context.set_default_timeout(15_000)
        contexts.callback(context.close)
        page = context.new_page()
        watched.follow(page, world.daemon.base_url)
        page.goto(world.daemon.base_url + path)
        return page

    yield opened
    contexts.close()
    assert (watched.dialogs, watched.errors, watched.strangers) == ([], [], [])
