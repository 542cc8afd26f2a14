"""Handles of the fakes for tests: start the program, steer it, ask what it saw."""

from __future__ import annotations

import http.client
import json
import select
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.sim.scripts import Script

ROOT = Path(__file__).resolve().parents[2]
START_S = 10.0


class SimProcess:
    """One fake as a child process; also a context manager."""

    module = ""

    def __init__(self, *arguments: str, port: int = 0) -> None:
        self.arguments = list(arguments)
        self.port = port
        self.control_port = 0
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens, without `/v1`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the running fake."""
        assert self._child is not None
        return self._child.pid

    def start(self) -> Self:
        """Start and wait until it listens."""
        command = [sys.executable, "-m", self.module, "--port", str(self.port), "--until-stdin-closes"]
        pipe = subprocess.PIPE
        child = subprocess.Popen([*command, *self.arguments], stdin=pipe, stdout=pipe, cwd=ROOT)
        self._child = child
        assert child.stdout is not None
        readable, _, _ = select.select([child.stdout], [], [], START_S)
        line = child.stdout.readline() if readable else b""
        if not line:
            self.kill()
            raise RuntimeError(f"{self.module} did not start")
        ready = json.loads(line)
        self.port, self.control_port = ready["port"], ready["control_port"]
        return self

    def kill(self) -> None:
        """SIGKILL; connections are reset or closed by the kernel, the port refuses."""
        if self._child is None:
            return
        self._child.kill()
        self._child.wait()
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                stream.close()
        self._child = None

    def restart_same_port(self) -> Self:
        """Kill if it still runs, start again where it was; scripts and log are new."""
        self.kill()
        return self.start()

    def __enter__(self) -> Self:
        return self if self._child is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.kill()

    def control(self, method: str, path: str, body: Any = None, timeout_s: float = 30.0) -> Any:
        """One call of the control port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=timeout_s)
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, {"content-type": "application/json"})
            reply = connection.getresponse()
            text = reply.read()
            if reply.status != 200:
                raise RuntimeError(f"{method} {path}: {reply.status} {text[:200]!r}")
            return json.loads(text)
        finally:
            connection.close()

    def script(self, default: Script) -> None:
        """What every request gets from now on."""
        self.control("POST", "/__script", {"default": default})

    def queue(self, *scripts: Script) -> None:
        """What the next requests get, one each, before the default; `match` in a script makes it choosy."""
        self.control("POST", "/__script", {"append": list(scripts)})

    def requests(self) -> list[dict[str, Any]]:
        """What came in, oldest first; headers are `[name, value]` pairs as received."""
        return self.control("GET", "/__requests")

    def asked(self) -> dict[str, Any]:
        """The last request that posted something: looks at how it is come in between at any time."""
        return [request for request in self.requests() if request["method"] == "POST"][-1]

    def reset(self) -> None:
        """Forget requests and scripts."""
        self.control("POST", "/__reset")

    def open_connections(self) -> int:
        """How many connections are open now."""
        return self.control("GET", "/__open")["open"]

    def accepted(self) -> int:
        """How many connections were ever accepted."""
        return self.control("GET", "/__open")["accepted"]

    def listen(self, mode: str, *, drop: bool = False) -> None:
        """`open`, `reset` on accept, or `refuse`; `drop` resets who is connected."""
        self.control("POST", "/__listen", {"mode": mode, "drop": drop})

    def release(self, gate: str = "gate") -> None:
        """Open a gate that a script waits at."""
        self.control("POST", "/__release", {"gate": gate})

    def _wait(self, what: str, n: int, timeout_s: float) -> int:
        answer = self.control(
            "GET", f"/__wait?what={what}&n={n}&timeout_s={timeout_s}", timeout_s=timeout_s + 10
        )
        if not answer["ok"]:
            raise TimeoutError(f"{what}: {answer['count']} after {timeout_s} s, {n} wanted")
        return answer["count"]

    def wait_requests(self, n: int = 1, timeout: float = 5.0) -> list[dict[str, Any]]:
        """Wait until `n` requests came in (whole, answered or not)."""
        self._wait("requests", n, timeout)
        return self.requests()

    def wait_finished(self, n: int = 1, timeout: float = 5.0) -> list[dict[str, Any]]:
        """Wait until `n` requests are over, one way or the other."""
        self._wait("finished", n, timeout)
        return self.requests()

    def wait_closed_early(self, n: int = 1, timeout: float = 5.0) -> list[dict[str, Any]]:
        """Wait until the peer left `n` answers before they were complete; gives those requests."""
        self._wait("closed_early", n, timeout)
        return [entry for entry in self.requests() if entry["closed_early"] is not None]

    def wait_open_at_most(self, n: int, timeout: float = 5.0) -> int:
        """Wait until no more than `n` connections are open."""
        return self._wait("open", n, timeout)


class SimUpstream(SimProcess):
    """The fault-injecting upstream."""

    module = "tests.sim.upstream"


class SimManifest(SimProcess):
    """The fake Manifest; its own rate limits only when asked for."""

    module = "tests.sim.manifest"
    key = "mnfst_sim_key_0001"

    def __init__(self, *arguments: str, port: int = 0, limits: bool = False) -> None:
        super().__init__(*(() if limits else ("--no-limits",)), *arguments, port=port)


class SimLlamaSwap(SimProcess):
    """The fake llama-swap; `models` replaces its list (objects as in llama_swap.MODELS)."""

    module = "tests.sim.llama_swap"

    def __init__(
        self, *arguments: str, port: int = 0, models: Iterable[dict[str, Any]] | None = None
    ) -> None:
        extra = () if models is None else ("--models", json.dumps(list(models)))
        super().__init__(*extra, *arguments, port=port)
