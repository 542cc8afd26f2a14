"""One run of omp: an argument list from a template, the text on stdin, and the whole process group gone at the end."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from brainrouter.bridge.grammar import MODEL
from brainrouter.bridge.lines import Lines
from brainrouter.bridge.omp_events import Reading
from brainrouter.bridge.process_group import end, ended, signal_group
from brainrouter.bridge.state import write_whole

Tools = Literal["none", "read", "write"]

PROVIDER = "brainrouter"
STDERR_BYTES = 4096
MOST_RUNS = 8
PASSED_ON = frozenset({
    "HOME", "LANG", "LANGUAGE", "LOGNAME", "NO_PROXY", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER", "no_proxy",
})  # fmt: skip
_TOOLS: dict[Tools, tuple[str, ...]] = {
    "none": ("--no-tools", "--approval-mode=always-ask"),
    "read": ("--tools=read,grep,glob", "--approval-mode=always-ask"),
    "write": ("--approval-mode=write",),
}


@dataclass(frozen=True, slots=True)
class Job:
    """One question: `cwd` is a descriptor of the folder it is asked in, `path` that folder's name."""

    text: str
    model: str
    cwd: int
    path: Path
    history: Path
    session: str | None
    tools: Tools


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `problem` is a sentence for the chat; there may be an answer as well."""

    answer: str
    session: str | None
    problem: str | None = None


class Omp:
    """Runs omp. Its settings are the bridge's own: they name brainrouter, wherever it listens, and nothing else."""

    def __init__(
        self, program: str, agent_dir: Path, base_url: str, env: Mapping[str, str], timeout_s: float
    ) -> None:
        self._program = program
        self._agent_dir = agent_dir
        self._base_url = base_url
        self._timeout_s = timeout_s
        self._home = Path(env.get("HOME") or "~").expanduser()
        self._path = env.get("PATH")
        kept = {
            name: value
            for name, value in env.items()
            if name in PASSED_ON or name.startswith(("LC_", "XDG_"))
        }
        self._env = {**kept, "PI_CODING_AGENT_DIR": str(agent_dir), "TERM": "dumb", "NO_COLOR": "1"}
        self._offered: dict[str, int | None] = {}
        self._offering = asyncio.Lock()
        self._turns = asyncio.Semaphore(MOST_RUNS)

    def missing(self) -> str | None:
        """What to do when omp cannot be started at all, or None."""
        if self._found() is None:
            return (
                f"{self._program} is not installed or not on the PATH: set bridge.omp_path to omp's own path"
            )
        return None

    async def offer(self, models: Mapping[str, int | None]) -> None:
        """Tell omp these models, with their windows in tokens where known. Raises OSError."""
        async with self._offering:
            if models != self._offered:
                await asyncio.to_thread(self._write_models, models)
                self._offered = dict(models)

    def _write_models(self, models: Mapping[str, int | None]) -> None:
        self._agent_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        listed = [
            {"id": name, "name": name, **({"contextWindow": window} if window else {})}
            for name, window in models.items()
        ]
        provider = {
            "baseUrl": f"{self._base_url}/v1",
            "api": "openai-completions",
            "auth": "none",
            "compat": {"supportsPromptCacheKey": True},
            "models": listed,
        }
        # JSON is YAML, too.
        write_whole(self._agent_dir / "models.yml", msgspec.json.encode({"providers": {PROVIDER: provider}}))

    def argv(self, job: Job) -> list[str]:
        """The command: fixed words, and values that cannot be taken for options."""
        if not MODEL.fullmatch(job.model):
            msg = f"not a model's name: {job.model[:80]!r}"
            raise ValueError(msg)
        options = [
            f"--model={PROVIDER}/{job.model}",
            f"--session-dir={job.history}",
            f"--max-time={math.ceil(self._timeout_s)}",
            *_TOOLS[job.tools],
        ]
        if job.path == self._home:
            options.append("--allow-home")
        if job.session is not None:
            options.append(f"--resume={job.session}")
        fixed = ["--mode=json", "--no-title", "--no-extensions", "--no-pty"]
        return [self._found() or self._program, "launch", "-p", *fixed, *options]

    async def run(self, job: Job, reading: Reading) -> Outcome:
        """Ask, and follow in `reading`. Cancelling ends the group, too. Raises OSError when it cannot be started.

        No more than MOST_RUNS at once: the others wait for their turn, which does not count towards the timeout.
        """
        if self._turns.locked():
            reading.doing = "waiting for others"
        async with self._turns:
            reading.doing = "starting"
            return await self._run(job, reading)

    async def _run(self, job: Job, reading: Reading) -> Outcome:
        job.history.mkdir(mode=0o700, parents=True, exist_ok=True)
        # By its descriptor the child starts in the very folder that was checked, whatever its path leads to now.
        cwd = f"/proc/self/fd/{job.cwd}" if sys.platform == "linux" else str(job.path)
        process = await asyncio.create_subprocess_exec(
            *self.argv(job), cwd=cwd, env=self._env, start_new_session=True,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said = bytearray()
        timed_out = False
        try:
            async with asyncio.timeout(self._timeout_s):
                await _follow(process, job.text, reading, said)
        except TimeoutError:
            timed_out = True
        finally:
            await end(process)
        if timed_out:
            return Outcome(reading.answer, reading.session, f"stopped after {self._timeout_s:g} s")
        return _outcome(reading, process.returncode, said.decode("utf-8", "replace"))

    def _found(self) -> str | None:
        return shutil.which(os.path.expanduser(self._program), path=self._path)


async def _follow(process: asyncio.subprocess.Process, text: str, reading: Reading, said: bytearray) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_tell(process, text))
        pipes = [group.create_task(_hear(process, reading)), group.create_task(_overhear(process, said))]
        await ended(process)
        signal_group(process.pid, signal.SIGKILL)  # what it left behind in its group
        # A descendant that left the group may hold the pipes open; it is not waited for.
        _, late = await asyncio.wait(pipes, timeout=1.0)
        for task in late:
            task.cancel()


async def _tell(process: asyncio.subprocess.Process, text: str) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(text.encode("utf-8", "replace"))
        await process.stdin.drain()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.close()
        await process.stdin.wait_closed()


async def _hear(process: asyncio.subprocess.Process, reading: Reading) -> None:
    assert process.stdout is not None
    lines = Lines()
    while data := await process.stdout.read(1 << 16):
        for line in lines.feed(data):
            reading.line(line)


async def _overhear(process: asyncio.subprocess.Process, said: bytearray) -> None:
    assert process.stderr is not None
    while data := await process.stderr.read(1 << 14):
        said += data
        del said[:-STDERR_BYTES]


def _outcome(reading: Reading, code: int | None, said: str) -> Outcome:
    if code == 0 and reading.failure is None:
        problem = None if reading.answer else "omp ended without an answer"
        return Outcome(reading.answer, reading.session, problem)
    last = next((line.strip() for line in reversed(said.strip().splitlines()) if line.strip()), "")
    why = reading.failure or last or "it said nothing"
    return Outcome(reading.answer, reading.session, f"omp failed (exit code {code}): {why[:300]}")
