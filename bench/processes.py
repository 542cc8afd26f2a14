"""Starting what is measured, each pinned to its core, and what it cost."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

START_S = 30.0
PROXY_CORE, LOAD_CORE = 0, 1
KEY_NAME, KEY = "BENCH_MANIFEST_KEY", "mnfst_bench_key_0000"
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


def wait_for(url: str, child: subprocess.Popen[bytes]) -> None:
    """Until it answers anything at all."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if child.poll() is not None:
            raise SystemExit(f"{child.args!r} ended with {child.returncode}")
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{url} does not answer")


@contextlib.contextmanager
def upstream(chunks: int, pace_ms: float) -> Generator[int]:
    """The bench upstream; gives its port."""
    command = [sys.executable, "-m", "bench.upstream", "--chunks", str(chunks), "--pace-ms", str(pace_ms)]
    with running(command, LOAD_CORE, quiet=False) as child:
        assert child.stdout is not None
        yield json.loads(child.stdout.readline())["port"]


@contextlib.contextmanager
def brainrouter(upstream_port: int) -> Generator[Target]:
    """The daemon with the bench upstream as its Manifest and nothing of the user's own settings."""
    program = shutil.which("brainrouter", path=str(Path(sys.executable).parent)) or "brainrouter"
    with tempfile.TemporaryDirectory(prefix="brainrouter-bench-") as folder:
        base = f"http://127.0.0.1:{upstream_port}/v1"
        settings = {
            "manifest": {"base_url": base, "api_key_env": KEY_NAME},
            "llama_swap": {"base_url": base, "fallback_model": "bench"},
            "decision": {"classifier": False},
        }
        config = Path(folder, "brainrouter.yaml")
        config.write_text(json.dumps(settings), encoding="utf-8")
        homes = ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")
        environment = dict.fromkeys(homes, folder) | {KEY_NAME: KEY, "BRAINROUTER_LOG": "error"}
        address = f"127.0.0.1:{free_port()}"
        command = [
            program,
            "serve",
            "--config",
            str(config),
            "--tcp-addr",
            address,
            "--socket",
            f"{folder}/s.sock",
        ]
        with running(command, PROXY_CORE, environment) as child:
            wait_for(f"http://{address}/health", child)
            yield Target("brainrouter", f"http://{address}/v1/chat/completions", (child.pid,))


@contextlib.contextmanager
def nginx(upstream_port: int) -> Generator[Target]:
    """nginx as a floor: it parses no JSON."""
    with tempfile.TemporaryDirectory(prefix="brainrouter-bench-") as folder:
        port = free_port()
        config = Path(folder, "nginx.conf")
        config.write_text(NGINX.format(folder=folder, upstream=upstream_port, port=port), encoding="utf-8")
        with running(["nginx", "-p", folder, "-c", str(config)], PROXY_CORE) as child:
            wait_for(f"http://127.0.0.1:{port}/health", child)
            tasks = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
            yield Target("nginx", f"http://127.0.0.1:{port}/v1/chat/completions", tuple(map(int, tasks)))
