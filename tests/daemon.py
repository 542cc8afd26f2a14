"""The real daemon as a child process in a home of its own, and the few ways in which tests talk to it."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.sim.handle import ROOT, SimLlamaSwap, SimManifest

T = TypeVar("T")

START_S = 60.0  # a busy machine may take its time; one that does not start says so at once
POLL_S = 0.005
PR_SET_PDEATHSIG = 1
# A knob below every gain: `auto` is the cloud, whatever is asked. Tests of the decision itself set another.
ALWAYS_CLOUD = -9.0


def eventually(condition: Callable[[], T], within_s: float = 30.0, what: str = "") -> T:
    """The first true value of `condition`, asked again and again; fails after `within_s`."""
    until = time.monotonic() + within_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > until:
            raise AssertionError(f"not within {within_s} s: {what or condition}; last seen: {found!r}")
        time.sleep(POLL_S)


def gone(pid: int) -> bool:
    """Whether a process has ended. One that nobody has reaped yet counts as ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rsplit(")", 1)[1].split()[0] == "Z"


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer; header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def side(self) -> str | None:
        """Where it was answered."""
        return self.headers.get("x-brainrouter-decision")

    @property
    def text(self) -> str:
        """What the model said, in a whole answer or a stream."""
        if "event-stream" not in self.headers.get("content-type", ""):
            return self.json()["choices"][0]["message"]["content"]
        choices = [choice for event in self.events() for choice in event.get("choices", ())]
        return "".join(choice["delta"].get("content") or "" for choice in choices)

    def events(self) -> list[dict[str, Any]]:
        """The JSON events of a stream."""
        lines = [line[6:] for line in self.body.split(b"\n") if line.startswith(b"data: {")]
        return [json.loads(line) for line in lines]

    @property
    def error(self) -> dict[str, Any]:
        return self.json()["error"]


class Daemon:
    """One `brainrouter serve`. A context manager; killed with everything it left at the end."""

    def __init__(
        self,
        *,
        manifest: str | None = None,
        llama_swap: str | None = None,
        config: dict[str, dict[str, Any]] | None = None,
        env: dict[str, str] | None = None,
        key: str = SimManifest.key,
        arguments: tuple[str, ...] = ("--tcp-addr", "127.0.0.1:0"),
        home: Path | None = None,
        socket_path: Path | None = None,
    ) -> None:
        # Not pytest's tmp_path: a Unix socket's path may have 107 bytes only.
        self.home = home or Path(tempfile.mkdtemp(prefix="br-"))
        self._own_home = home is None
        self.run_dir = self.home / "run"
        self.run_dir.mkdir(mode=0o700, exist_ok=True)
        self.socket_path = socket_path or self.run_dir / "brainrouter.sock"
        self.log_file = self.home / "stderr.log"
        self.database = self.home / ".local" / "state" / "brainrouter" / "brainrouter.db"
        self.config_file = self.home / "given.yaml"
        self.config_file.write_text(json.dumps(_config(manifest, llama_swap, config or {})), encoding="utf-8")
        self._arguments = arguments
        self._env = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.run_dir),
            "MANIFEST_API_KEY": key,
            **(env or {}),
        }
        self.port = 0
        self.child: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What it is started with."""
        return self._env

    def setenv(self, more: dict[str, str]) -> None:
        """More environment for its next start."""
        self._env |= more

    def spawn(self) -> Self:
        """Start the process, and wait for nothing."""
        command = [sys.executable, "-m", "brainrouter", "serve", "--config", str(self.config_file)]
        command += ["--socket", str(self.socket_path), *self._arguments]
        with self.log_file.open("ab") as log:
            self.child = subprocess.Popen(
                command, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT,
                preexec_fn=_die_with_parent,
            )  # fmt: skip
        return self

    def start(self) -> Self:
        """Start and wait until it serves, and knows how both sides are."""
        self.spawn()
        eventually(self._serves, START_S, "serving")
        return self

    def stop(self, within_s: float = 30.0) -> int:
        """SIGTERM; gives the exit code."""
        assert self.child is not None
        self.child.send_signal(signal.SIGTERM)
        return self.wait(within_s)

    def wait(self, within_s: float = 30.0) -> int:
        """The exit code, once it has ended."""
        assert self.child is not None
        return self.child.wait(within_s)

    def close(self) -> None:
        """Kill what still runs and remove the home."""
        if self.child is not None and self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        if self._own_home:
            shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self if self.child is not None else self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def log(self) -> str:
        """What it wrote to stderr; nothing of one that was started in another way."""
        if not self.log_file.exists():
            return ""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def connect(self, *, unix: bool = False, timeout_s: float = 20.0) -> http.client.HTTPConnection:
        """A connection; to the Unix socket if wanted."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        if unix:
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.settimeout(timeout_s)
            connection.sock.connect(str(self.socket_path))
        return connection

    def send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | bytes | None = None,
        *,
        unix: bool = False,
        **headers: str,
    ) -> Answer:
        """One request on a connection of its own."""
        raw = json.dumps(body).encode() if isinstance(body, dict) else body
        lines = {name.replace("_", "-"): value for name, value in headers.items()}
        if raw is not None:
            lines.setdefault("content-type", "application/json")
        with contextlib.closing(self.connect(unix=unix)) as connection:
            connection.request(method, path, raw, lines)
            reply = connection.getresponse()
            found = {name.lower(): value for name, value in reply.getheaders()}
            return Answer(reply.status, found, reply.read())

    def get(self, path: str, **headers: Any) -> Any:
        """The JSON of a route that reads."""
        answer = self.send("GET", path, **headers)
        assert answer.status == 200, answer
        return answer.json()

    def chat(
        self,
        model: str = "auto",
        text: str = "hello",
        *,
        stream: bool = False,
        unix: bool = False,
        **fields: Any,
    ) -> Answer:
        """One chat completion, whole or streamed to its end."""
        return self.send(
            "POST", "/v1/chat/completions", chat_body(model, text, stream=stream, **fields), unix=unix
        )

    def open_stream(self, model: str = "auto", text: str = "hello", **fields: Any) -> socket.socket:
        """A streamed chat completion that was asked for, on a raw socket: read it, or leave it."""
        raw = json.dumps(chat_body(model, text, stream=True, **fields)).encode()
        return self.open_request(raw)

    def open_request(self, raw: bytes) -> socket.socket:
        """A chat completion that was asked for, on a raw socket."""
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n"
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20.0)
        connection.sendall(head.encode() + raw)
        return connection

    def health(self) -> dict[str, Any]:
        return self.get("/health")

    def events(self, limit: int = 50) -> list[dict[str, Any]]:
        """The latest events, newest first."""
        return self.get(f"/api/routing-events?limit={limit}")["events"]

    def event(self, text: str, within_s: float = 30.0) -> dict[str, Any]:
        """The one event of the request that said `text`, once it is there."""

        def find() -> list[dict[str, Any]]:
            return [event for event in self.events(500) if event["prompt_excerpt"] == text]

        found = eventually(find, within_s, f"an event of {text!r}")
        assert len(found) == 1, found
        return found[0]

    def _serves(self) -> bool:
        try:
            # A killed daemon leaves its port file behind: read it anew each time.
            self.port = int(self.socket_path.with_suffix(".port").read_text())
            health = self.health()
        except (OSError, ValueError):
            self._ended()
            return False
        return all(health[side]["state"] != "unknown" for side in ("cloud", "local"))

    def must_run(self) -> None:
        """Fail with its log when it has ended."""
        self._ended()

    def _ended(self) -> bool:
        assert self.child is not None
        if self.child.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.child.returncode}:\n{self.log()}")
        return False


class Stage:
    """Both fakes and a daemon between them, shared by many tests; `clean` makes it as good as new."""

    def __init__(self, **config: dict[str, Any]) -> None:
        self.config = config
        self.manifest = SimManifest()
        self.llama_swap = SimLlamaSwap()
        self.daemon: Daemon

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.manifest)
            stack.enter_context(self.llama_swap)
            self._start()
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.close()
        self.llama_swap.kill()
        self.manifest.kill()

    def clean(self) -> None:
        """Forget scripts and requests; close the breakers by good answers, else with a new daemon."""
        self.daemon.must_run()
        for sim in (self.manifest, self.llama_swap):
            sim.reset()
            sim.listen("open")
        for name in self.daemon.health()["breakers"]:
            self.daemon.chat("cloud" if name == "cloud" else name.removeprefix("local:"), "a good answer")
        if self.daemon.health()["breakers"]:
            self.daemon.close()
            self._start()
        for sim in (self.manifest, self.llama_swap):
            sim.reset()

    def _start(self) -> None:
        self.daemon = Daemon(
            manifest=f"{self.manifest.url}/v1", llama_swap=f"{self.llama_swap.url}/v1", config=self.config
        )
        self.daemon.__enter__()


def chat_body(
    model: str = "auto", text: str = "hello", *, stream: bool = False, **fields: Any
) -> dict[str, Any]:
    """A request for one chat completion."""
    return {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream, **fields}


def _config(
    manifest: str | None, llama_swap: str | None, more: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    tree: dict[str, dict[str, Any]] = {"decision": {"classifier": False, "knob": ALWAYS_CLOUD}}
    if manifest is not None:
        tree["manifest"] = {"base_url": manifest}
    if llama_swap is not None:
        tree["llama_swap"] = {"base_url": llama_swap}
    return {section: tree.get(section, {}) | more.get(section, {}) for section in tree.keys() | more.keys()}


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
