"""The embedded local backend: a small real model behind llama.cpp's server, in child processes that it looks after.

start() -> fetching (once in the life of a cache) -> loading -> ready;  a crash restarts it, three in a row fail it
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from brainrouter.adapters.child_process import (
    Strikes,
    end_group,
    free_port,
    how_it_ended,
    last_line,
    run_folder,
)
from brainrouter.adapters.embedded_server import KEY_VARIABLE, server_command, swap_settings
from brainrouter.adapters.model_fetch import fetched_model
from brainrouter.adapters.model_file import MODEL, ModelUnavailable

State = Literal["fetching", "loading", "ready", "failed", "stopped"]

LOAD_TIMEOUT_S = 180.0
POLL_S = 0.1
ASK_TIMEOUT_S = 5.0
CRASHES, CRASH_WINDOW_S, FIRST_WAIT_S = 3, 120.0, 0.5


class BackendUnavailable(Exception):
    """The embedded backend is not ready; the message says why."""


class _Crashed(Exception):
    """A child ended, or never became ready."""


class EmbeddedBackend:
    """Supervises the embedded model's server. All methods belong to one event loop."""

    model = MODEL

    def __init__(
        self, cache: Path, *, llama_swap: Path | None, context: int = 8192, on_change: Callable[[], None]
    ) -> None:
        self._cache, self._llama_swap, self._context, self._on_change = cache, llama_swap, context, on_change
        self._port = free_port()
        self.base_url = f"http://127.0.0.1:{self._port}/v1"
        self.api_key: str | None = secrets.token_urlsafe(24)
        self._state: State = "stopped"
        self._detail, self._progress = "not started", None
        self._note = ""
        self._settled = asyncio.Event()
        self._child: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; returns at once. May be called again after a failure."""
        if self._task is None or self._task.done():
            self._be("fetching", "starting")
            self._task = asyncio.create_task(self._run(), name="embedded-backend")

    async def wait_ready(self, timeout_s: float) -> None:
        """Returns when the model answers. Raises BackendUnavailable when it failed or takes longer."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), timeout_s)
        if self._state != "ready":
            raise BackendUnavailable(f"the embedded model is {self._state}: {self._detail}")

    def status(self) -> dict[str, Any]:
        """What `/health` shows of it."""
        return {
            "state": self._state,
            "detail": self._detail,
            "progress": self._progress,
            "kind": "llama-swap+llama.cpp" if self._llama_swap else "llama.cpp",
            "model": self.model,
            "version": _library_version(),
            "pid": self._child.pid if self._child and self._child.returncode is None else None,
            "context": self._context,
        }

    async def close(self) -> None:
        """End it and everything it started."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self._be("stopped", "stopped")

    def _be(self, state: State, detail: str, progress: float | None = None) -> None:
        detail = f"{detail} ({self._note})" if self._note and state in ("ready", "failed") else detail
        if (state, detail, progress) == (self._state, self._detail, self._progress):
            return
        self._state, self._detail, self._progress = state, detail, progress
        if state in ("ready", "failed", "stopped"):
            self._settled.set()
        else:
            self._settled.clear()
        self._on_change()

    async def _run(self) -> None:
        strikes = Strikes(CRASHES, CRASH_WINDOW_S, FIRST_WAIT_S, time.monotonic)
        try:
            path = await fetched_model(self._cache, lambda label, share: self._be("fetching", label, share))
            while True:
                try:
                    await self._serve(path)
                except _Crashed as crash:
                    wait_s = self._after(crash, strikes)
                    if wait_s is None:
                        return
                    await asyncio.sleep(wait_s)
        except ModelUnavailable as trouble:
            self._be("failed", f"{trouble.reason}; {trouble.mend}")
        except (OSError, ValueError, RuntimeError) as trouble:
            self._be("failed", f"{type(trouble).__name__}: {trouble}")

    def _after(self, crash: _Crashed, strikes: Strikes) -> float | None:
        wait_s = strikes.struck()
        if wait_s is None and self._llama_swap:
            self._note = f"without llama-swap, which failed: {crash}"
            self._llama_swap = None
            strikes.forget()
            wait_s = 0.0
        if wait_s is None:
            self._be("failed", str(crash))
        else:
            self._be("loading", f"starting again: {crash}")
        return wait_s

    async def _serve(self, path: Path) -> None:
        """One life of the server. Ends by _Crashed or by cancellation; its processes and files are gone then."""
        self._be("loading", "loading the embedded model")
        with run_folder(self._cache) as run:
            log = run / "log"
            with log.open("wb") as output:
                self._child = child = await self._spawn(
                    self._command(path, run), stdout=output, stderr=output
                )
            try:
                if await self._comes_to_answer(child):
                    self._be("ready", f"{self.model} answers")
                await child.wait()
            except TimeoutError as late:
                raise _Crashed(f"no answer within {LOAD_TIMEOUT_S:.0f} s: {last_line(log)}") from late
            finally:
                await end_group(child)
            raise _Crashed(f"the server ended with {how_it_ended(child.returncode)}: {last_line(log)}")

    async def _comes_to_answer(self, child: asyncio.subprocess.Process) -> bool:
        async with asyncio.timeout(LOAD_TIMEOUT_S):
            while not await self._answers():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(child.wait(), POLL_S)
                if child.returncode is not None:
                    return False
        return True

    async def _answers(self) -> bool:
        """True when the model is loaded: llama-swap's own /health says nothing of its models."""
        if not self._llama_swap:
            status, _ = await self._get("/health")
            return status == 200
        status, body = await self._get("/running")
        with contextlib.suppress(ValueError, TypeError, KeyError):
            return status == 200 and any(row["state"] == "ready" for row in json.loads(body)["running"])
        return False

    async def _get(self, path: str) -> tuple[int, bytes]:
        """One HTTP/1.0 request to our own child; (0, b"") when it does not answer properly or at once."""
        with contextlib.suppress(OSError, ValueError, IndexError):  # a TimeoutError is an OSError
            async with asyncio.timeout(ASK_TIMEOUT_S):
                return await self._exchange(path)
        return 0, b""

    async def _exchange(self, path: str) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(f"GET {path} HTTP/1.0\r\nAuthorization: Bearer {self.api_key}\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            return int(head.split(b" ", 2)[1]), body
        finally:
            writer.close()

    def _command(self, path: Path, run: Path) -> list[str]:
        server = server_command(path, self.model, self._context)
        bound = [*server, "--port", str(self._port), "--parent", str(os.getpid())]
        if not self._llama_swap:
            return bound
        settings = run / "llama-swap.yaml"
        settings.write_text(
            swap_settings(server, self.model, self._context, LOAD_TIMEOUT_S), encoding="utf-8"
        )
        return [*bound, "--llama-swap", str(self._llama_swap), "--config", str(settings)]

    async def _spawn(self, command: list[str], **pipes: Any) -> asyncio.subprocess.Process:
        quiet = {"OMP_WAIT_POLICY": "passive", "GGML_NO_BACKTRACE": "1", KEY_VARIABLE: str(self.api_key)}
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            env=os.environ | quiet,
            start_new_session=True,
            **pipes,
        )


def _library_version() -> str:
    try:
        return f"xllamacpp {version('xllamacpp')}"
    except PackageNotFoundError:
        return "xllamacpp is not installed"
