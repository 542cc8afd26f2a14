"""The embedded backend: a real model behind llama.cpp's real server, alone and behind llama-swap (a stand-in of it)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from brainrouter.adapters.embedded import BackendUnavailable, EmbeddedBackend
from brainrouter.adapters.model_file import MODEL_NAME
from tests.adapters import stand_in_llama_swap
from tests.adapters.embedded_rig import (
    Watched,
    all_end,
    completion,
    descendants,
    handles_of,
    request,
    started,
    streamed,
)
from tests.model_cache import shared_cache, shared_model


@pytest.fixture(scope="module", params=["alone", "behind llama-swap"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A running backend, for the tests that only talk to it."""
    behind = request.param == "behind llama-swap"
    binary = stand_in(tmp_path_factory.mktemp("bin")) if behind else None
    shared_model()
    with asyncio.Runner() as runner:

        async def start() -> Watched:
            watched = Watched(shared_cache(), binary)
            await watched.it.start()
            await watched.it.wait_ready(50)
            return watched

        watched = runner.run(start())
        pid = watched.it.status()["pid"]
        pids = handles_of([pid, *descendants(pid)])
        yield watched
        runner.run(watched.it.close())
        assert all_end(pids)
        assert not list(shared_cache().glob(f"run-{os.getpid()}-*"))


def stand_in(folder: Path) -> Path:
    path = folder / "llama-swap"
    source = Path(stand_in_llama_swap.__file__).read_text(encoding="utf-8")
    path.write_text(f"#!{sys.executable}\n{source}", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_it_answers_a_chat_completion(served: Watched):
    assert completion(served.it)


def test_it_streams_a_chat_completion(served: Watched):
    assert streamed(served.it)


def test_it_asks_for_the_key(served: Watched):
    status, _ = request(
        served.it, "/v1/chat/completions", {"model": served.it.model, "messages": []}, key="wrong"
    )
    assert status == 401


def test_a_finished_fetch_is_not_repeated(served: Watched):
    assert [state for state, _ in served.seen] == ["fetching", "loading", "ready"]


def test_the_status_says_what_runs(served: Watched):
    status = served.it.status()
    assert status["state"] == "ready"
    assert status["model"] == "smollm2-135m-instruct"
    assert status["kind"] in ("llama.cpp", "llama-swap+llama.cpp")
    assert status["version"].startswith("xllamacpp 20")
    assert status["pid"] in descendants(os.getpid())
    assert status["context"] == 8192


def test_the_key_is_in_no_argument_and_no_file(served: Watched):
    key = served.it.api_key or ""
    for pid in descendants(os.getpid()):
        assert key not in Path(f"/proc/{pid}/cmdline").read_text()
    for run in shared_cache().glob(f"run-{os.getpid()}-*"):
        assert run.stat().st_mode & 0o077 == 0
        assert all(key not in path.read_text(errors="replace") for path in run.iterdir())


def test_it_tells_the_window_of_each_request(served: Watched):
    if served.it.status()["kind"] == "llama.cpp":
        status, text = request(served.it, "/props", None)
        assert (status, json.loads(text)["default_generation_settings"]["n_ctx"]) == (200, 8192)
    else:
        (run,) = shared_cache().glob(f"run-{os.getpid()}-*")
        settings = json.loads((run / "llama-swap.yaml").read_text())
        assert settings["models"][served.it.model]["capabilities"]["context"] == 8192


def test_a_killed_server_comes_back_under_uvloop():
    async def main():
        async with started() as watched:
            await watched.it.wait_ready(50)
            first = watched.it.status()["pid"]
            os.kill(first, signal.SIGKILL)
            await watched.until(lambda status: status["state"] == "ready" and status["pid"] != first)
            assert await asyncio.to_thread(completion, watched.it)
            assert any(state == "loading" and "SIGKILL" in detail for state, detail in watched.seen)

    uvloop.run(main())


def test_a_llama_swap_that_does_not_work_is_done_without(tmp_path: Path):
    broken = tmp_path / "llama-swap"
    broken.write_text("#!/bin/sh\necho no such flag >&2\nexit 2\n")
    broken.chmod(0o755)

    async def main():
        async with started(llama_swap=broken) as watched:
            await watched.it.wait_ready(50)
            status = watched.it.status()
            assert status["kind"] == "llama.cpp"
            assert (
                "without llama-swap, which failed: the server ended with exit code 2: no such flag"
                in status["detail"]
            )

    asyncio.run(main())


def test_a_model_that_does_not_load_fails_with_the_reason(tmp_path: Path):
    (tmp_path / MODEL_NAME).write_bytes(b"GGUF" + bytes(1000))
    (tmp_path / f"{MODEL_NAME}.bytes").write_text("1004")

    async def main():
        async with started(tmp_path) as watched:
            with pytest.raises(BackendUnavailable, match="Failed to init server"):
                await watched.it.wait_ready(50)
            assert watched.it.status()["state"] == "failed"
            assert watched.it.status()["pid"] is None

    asyncio.run(main())


def test_waiting_has_an_end_and_says_how_far_it_is():
    async def main():
        backend = EmbeddedBackend(shared_cache(), llama_swap=None, on_change=lambda: None)
        with pytest.raises(BackendUnavailable, match="the embedded model is stopped: not started"):
            await backend.wait_ready(0.01)

    asyncio.run(main())


def test_closing_while_it_loads_leaves_nothing():
    async def main():
        async with started() as watched:
            status = await watched.until(lambda status: status["pid"] is not None)
            left = handles_of([status["pid"]])
        assert all_end(left)
        assert watched.it.status()["state"] == "stopped"

    asyncio.run(main())


DAEMON = """
import asyncio, sys
from pathlib import Path
from brainrouter.adapters.embedded import EmbeddedBackend
async def main():
    swap = Path(sys.argv[2]) if sys.argv[2] else None
    backend = EmbeddedBackend(Path(sys.argv[1]), llama_swap=swap, on_change=lambda: None)
    await backend.start()
    await backend.wait_ready(50)
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.parametrize("behind", [False, True])
def test_nothing_outlives_a_daemon_that_is_killed(tmp_path: Path, behind: bool):
    swap = str(stand_in(tmp_path)) if behind else ""
    arguments = [sys.executable, "-c", DAEMON, str(shared_model().parent), swap]
    daemon = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert daemon.stdout is not None
    assert daemon.stdout.readline() == "ready\n"
    left = handles_of(descendants(daemon.pid))
    assert len(left) == (2 if behind else 1)
    daemon.kill()
    daemon.communicate()
    assert all_end(left)
