"""The small model's opinion of a request, from a worker process, in time or not at all.

start() -> loading -> ready; or off (no file, a bad one, a worker that keeps dying: until the file changes), or
too_slow (nothing makes the deadline here: measured again later).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from brainrouter.adapters.child_process import Strikes, end_group, how_it_ended
from brainrouter.adapters.classifier_worker import Hello, Job, Reply
from brainrouter.brain.classify_prompt import capped
from brainrouter.quantile import quantile

State = Literal["off", "loading", "ready", "restarting", "too_slow"]
Stamp = tuple[int, int, int]

QUEUE = 4
HUNG_S = 15.0  # a worker that owes an answer for so long is stuck in native code
FILE_POLL_S = 1.0
DEATHS, DEATH_WINDOW_S, FIRST_WAIT_S = 3, 60.0, 0.2
SLOW_FIRST_S, SLOW_MAX_S = 60.0, 900.0
KEPT_TIMES = 200
STDERR_KEPT = 2000
# Spinning OpenMP threads make a busy machine's latency ten times worse; llama.cpp would start a debugger on an abort.
QUIET = {"OMP_WAIT_POLICY": "passive", "GGML_NO_BACKTRACE": "1"}


@dataclass(frozen=True, slots=True)
class Opinion:
    """`p_cloud`: the calibrated probability, inside (0, 1), that the request is worth the cloud."""

    p_cloud: float
    ms: float


class Unsure(Exception):
    """No opinion in time. `reason` is "late", "busy", "loading" or "off: why"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Classifier:
    """Client and supervisor of the worker. All methods belong to one event loop."""

    def __init__(
        self,
        model_path: Path,
        *,
        deadline_s: float,
        embedded: bool,
        busy: Callable[[], bool] | None = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self._path, self._deadline_s, self._embedded = model_path, deadline_s, embedded
        self._busy, self._on_change = busy, on_change
        self._state: State = "off"
        self._detail = "not started"
        self._hello = Hello("off")
        self._child: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._owed: dict[int, tuple[asyncio.Future[Reply], float]] = {}
        self._last_id = self._restarts = 0
        self._times: deque[float] = deque(maxlen=KEPT_TIMES)
        self._encode, self._decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(Reply).decode

    async def start(self) -> None:
        """Begin; returns at once and never raises for a bad model."""
        if self._task is None:
            self._be("loading", "starting")
            self._task = asyncio.create_task(self._run(), name="classifier")

    async def judge(self, text: str, deadline_s: float | None = None) -> Opinion:
        """An opinion of `text` within `deadline_s` (the configured one by default). Raises Unsure, never later."""
        started = time.monotonic()
        budget_s = self._deadline_s if deadline_s is None else deadline_s
        child = self._ready_child()
        self._last_id += 1
        job = Job(self._last_id, capped(text, self._hello.cap_chars), started + budget_s)
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._owed[job.id] = (answer, started)
        assert child.stdin is not None
        try:
            child.stdin.write(self._encode(job) + b"\n")  # QUEUE small lines at most: a pipe holds more
        except (OSError, RuntimeError):  # it is dying, and its end was not heard of yet
            del self._owed[job.id]
            raise Unsure("off: the worker has ended") from None
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + budget_s):
                reply = await answer
        except TimeoutError:
            raise Unsure("late") from None
        if reply.p_cloud is None:
            raise Unsure(f"off: {reply.trouble}" if reply.trouble else "late")
        took_ms = (time.monotonic() - started) * 1000
        self._times.append(took_ms)
        return Opinion(reply.p_cloud, took_ms)

    def status(self) -> dict[str, Any]:
        """What `/health` and the dashboard show of it."""
        hello, times = self._hello, sorted(self._times)
        return {
            "state": self._state,
            "model": self._path.name,
            "detail": self._detail,
            "engine": hello.engine,
            "shots": hello.shots,
            "cap_chars": hello.cap_chars,
            "p50_ms": round(quantile(times, 0.5), 1) if times else hello.p50_ms,
            "p95_ms": round(quantile(times, 0.95), 1) if times else hello.p95_ms,
            "restarts": self._restarts,
            "label_mass": hello.label_mass,
            "pid": self._child.pid if self._child else None,
        }

    async def close(self) -> None:
        """End the worker and forget it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self._be("off", "closed")

    def _ready_child(self) -> asyncio.subprocess.Process:
        if self._busy is not None and self._busy():
            raise Unsure("busy")
        if self._state == "loading":
            raise Unsure("loading")
        if self._state == "too_slow":
            raise Unsure("off: too slow here")
        if self._state != "ready" or self._child is None:
            raise Unsure(f"off: {self._detail}")
        if len(self._owed) >= QUEUE:
            if time.monotonic() - min(since for _, since in self._owed.values()) > HUNG_S:
                self._child.kill()
            raise Unsure("busy")
        return self._child

    def _be(self, state: State, detail: str) -> None:
        self._state, self._detail = state, detail
        if self._on_change is not None:
            self._on_change()

    async def _run(self) -> None:
        strikes = Strikes(DEATHS, DEATH_WINDOW_S, FIRST_WAIT_S, time.monotonic)
        slow_wait_s = SLOW_FIRST_S
        while True:
            stamp = self._stamp()
            if stamp is None:
                self._be("off", f"there is no model at {self._path}")
                await self._changed_file(stamp)
                continue
            try:
                death = await self._live()
            except OSError as trouble:
                death = str(trouble)
            wait_s = strikes.struck() if death else None
            if self._hello.state == "too_slow":
                self._be("too_slow", self._hello.reason)
                await self._changed_file(stamp, slow_wait_s)
                slow_wait_s = min(slow_wait_s * 2, SLOW_MAX_S)
            elif wait_s is not None:
                self._be("restarting", death)
                self._restarts += 1
                await asyncio.sleep(wait_s)
            else:
                self._be("off", f"{death}, {DEATHS} times" if death else self._hello.reason)
                await self._changed_file(stamp)
                strikes.forget()

    async def _live(self) -> str:
        """One life of the worker. Returns how it died, or "" when it said itself that it cannot serve."""
        self._hello = Hello("off")
        child = self._child = await asyncio.create_subprocess_exec(
            *self._command(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | QUIET,
            start_new_session=True,
        )
        self._be("restarting" if self._restarts else "loading", "loading the model")
        try:
            async with asyncio.TaskGroup() as group:
                last_words = group.create_task(_tail(child.stderr))
                group.create_task(self._listen(child))
        finally:
            self._child = None
            if self._state == "ready":
                self._be("restarting", "the worker has ended")
            await end_group(child)
            self._disappoint()
        if self._hello.state != "ready" and self._hello.reason:
            return ""
        return f"the worker died: {how_it_ended(child.returncode)} {last_words.result()}".strip()

    async def _listen(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None
        try:
            if line := await child.stdout.readline():
                self._hello = msgspec.json.decode(line, type=Hello)
                if self._hello.state == "ready":
                    self._times.clear()
                    self._be("ready", self._hello.reason or self._hello.description)
            while line := await child.stdout.readline():
                reply = self._decode(line)
                answer, _ = self._owed.pop(reply.id)
                if not answer.done():
                    answer.set_result(reply)
        except (ValueError, KeyError):  # not our protocol: no answer of this worker can be trusted
            child.kill()

    def _disappoint(self) -> None:
        owed, self._owed = self._owed, {}
        for number, (answer, _) in owed.items():
            if not answer.done():
                answer.set_result(Reply(number, trouble="the worker died"))

    def _command(self) -> list[str]:
        program = [sys.executable, "-P", "-m", "brainrouter.adapters.classifier_worker"]
        what = ["--model", str(self._path), "--deadline", str(self._deadline_s), "--parent", str(os.getpid())]
        return [*program, *what, *(["--embedded"] if self._embedded else [])]

    def _stamp(self) -> Stamp | None:
        """What changes when the file does; None when there is none."""
        try:
            facts = self._path.stat()
        except OSError:
            return None
        return facts.st_ino, facts.st_size, facts.st_mtime_ns

    async def _changed_file(self, stamp: Stamp | None, at_most_s: float | None = None) -> None:
        """Returns when a file is there that is not the one of `stamp`, or after `at_most_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                while self._stamp() in (None, stamp):
                    await asyncio.sleep(FILE_POLL_S)


async def _tail(stream: asyncio.StreamReader | None) -> str:
    """The last line of what the worker says on stderr, read to its end."""
    assert stream is not None
    kept = b""
    while data := await stream.read(4096):
        kept = (kept + data)[-STDERR_KEPT:]
    lines = kept.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else ""
