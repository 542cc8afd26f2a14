"""Starting what is measured, each pinned to its core, and what it cost."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

START_S = 30.0
PROXY_CORE, LOAD_CORE = 0, 1
KEY_NAME, KEY = "BENCH_MANIFEST_KEY", "mnfst_bench_key_0000"
CLIENT_KEY = "sk-bench-0000000000000000"
# The knob that sends every `auto` to the cloud, after it was decided: both sides are the same upstream here.
ALWAYS_CLOUD = -9.0
NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 2048; }}
http {{
  access_log off; client_max_body_size 64m; client_body_buffer_size 2m; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000;
  upstream peer {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://peer; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Target:
    """One thing to measure; `pids` are the processes whose CPU it costs."""

    name: str
    url: str
    pids: tuple[int, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    model: str = "cloud"
    started_s: float = 0.0
    idle_mb: float = 0.0

    def at(self, path: str) -> str:
        """The URL of another path of it."""
        return self.url.split("/v1/", 1)[0] + path

    def cpu_s(self) -> float:
        """CPU seconds used so far."""
        return sum(_cpu_s(pid) for pid in self.pids)

    def rss_mb(self) -> float:
        """Resident memory now."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids)
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _cpu_s(pid: int) -> float:
    """From the scheduler, in nanoseconds: the clock ticks of `stat` are too coarse for a run this short."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def pin(pid: int, core: int) -> None:
    """Keep a process on one core, where the system can and has that many."""
    if hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):  # a machine with one core: everything shares it
            os.sched_setaffinity(pid, {core})


@contextlib.contextmanager
def running(
    command: list[str], core: int, environment: dict[str, str] | None = None, *, quiet: bool = True
) -> Generator[subprocess.Popen[bytes]]:
    """A child on its core, ended with the block."""
    child = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL if quiet else subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        env=os.environ | (environment or {}),
        preexec_fn=lambda: pin(os.getpid(), core),
    )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()


PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}


@contextlib.contextmanager
def started(
    name: str,
    command: list[str],
    port: int,
    environment: dict[str, str] | None = None,
    within_s: float = START_S,
    headers: tuple[tuple[str, str], ...] = (),
    *,
    protocol: str = "chat",
    model: str = "cloud",
) -> Generator[Target]:
    """A proxy on the proxies' core, from its start until its first answer to a real request. Raises NotStarted."""
    url = f"http://127.0.0.1:{port}{PATHS[protocol]}"
    began = time.monotonic()
    with running(command, PROXY_CORE, environment) as child:
        while not _answers(url, headers, model):
            if child.poll() is not None:
                raise NotStarted(f"{name} ended with {child.returncode}")
            if time.monotonic() - began > within_s:
                raise NotStarted(f"{name} gave no answer within {within_s:.0f} s")
            time.sleep(0.005)
        took = time.monotonic() - began
        target = Target(name, url, tuple(_family(child.pid)), headers, model, took)
        yield dataclasses.replace(target, idle_mb=target.rss_mb())


class NotStarted(Exception):
    """Why something cannot be measured here."""


def _answers(url: str, headers: tuple[tuple[str, str], ...], model: str) -> bool:
    turn = {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}
    known = {
        "content-type": "application/json",
        "authorization": f"Bearer {CLIENT_KEY}",
        "x-api-key": CLIENT_KEY,
    }
    asked = urllib.request.Request(url, json.dumps(turn).encode(), known | dict(headers))
    try:
        with urllib.request.urlopen(asked, timeout=20) as reply:
            return reply.status == 200
    except (OSError, http.client.HTTPException):
        return False


def _family(pid: int) -> list[int]:
    """A process and those that it started."""
    children = Path(f"/proc/{pid}/task").glob("*/children")
    return [
        pid,
        *(one for file in children for child in file.read_text().split() for one in _family(int(child))),
    ]


@contextlib.contextmanager
def upstream(chunks: int, pace_ms: float) -> Generator[int]:
    """The bench upstream; gives its port."""
    command = [sys.executable, "-m", "bench.upstream", "--chunks", str(chunks), "--pace-ms", str(pace_ms)]
    with running(command, LOAD_CORE, quiet=False) as child:
        assert child.stdout is not None
        yield json.loads(child.stdout.readline())["port"]


@contextlib.contextmanager
def brainrouter(
    upstream_port: int, *, name: str = "brainrouter", protocol: str = "chat", database: Path | None = None
) -> Generator[Target]:
    """The daemon with the bench upstream as its Manifest and nothing of the user's own settings.

    With `protocol` "messages" its cloud speaks chat completions only, so that `/v1/messages` is translated.
    """
    program = shutil.which("brainrouter", path=str(Path(sys.executable).parent)) or "brainrouter"
    with tempfile.TemporaryDirectory(prefix="brainrouter-bench-") as folder:
        base = f"http://127.0.0.1:{upstream_port}/v1"
        manifest: dict[str, object] = {"base_url": base, "api_key_env": KEY_NAME}
        settings = {
            "manifest": manifest if protocol == "chat" else {**manifest, "protocols": ["chat"]},
            "llama_swap": {"base_url": base, "fallback_model": "bench"},
            "decision": {"classifier": False, "knob": ALWAYS_CLOUD},
        }
        config = Path(folder, "brainrouter.yaml")
        config.write_text(json.dumps(settings), encoding="utf-8")
        if database is not None:
            Path(folder, "brainrouter").mkdir()
            shutil.copy(database, Path(folder, "brainrouter", "brainrouter.db"))
        homes = ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")
        environment = dict.fromkeys(homes, folder) | {KEY_NAME: KEY, "BRAINROUTER_LOG": "error"}
        port = free_port()
        listens = ["--tcp-addr", f"127.0.0.1:{port}", "--socket", f"{folder}/s.sock"]
        command = [program, "serve", "--config", str(config), *listens]
        with started(name, command, port, environment, protocol=protocol) as target:
            yield target


@contextlib.contextmanager
def nginx(upstream_port: int) -> Generator[Target]:
    """nginx as a floor: it parses no JSON."""
    with tempfile.TemporaryDirectory(prefix="brainrouter-bench-") as folder:
        port = free_port()
        config = Path(folder, "nginx.conf")
        config.write_text(NGINX.format(folder=folder, upstream=upstream_port, port=port), encoding="utf-8")
        command = ["nginx", "-p", folder, "-c", str(config)]
        with started("nginx", command, port) as target:
            yield target
