"""Starting and ending `brainrouter serve`: sockets, ports, refusals, exit codes, what is left on disk."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from brainrouter.adapters.history import past
from tests.daemon import Daemon, Stage, eventually
from tests.sim.handle import ROOT, SimLlamaSwap
from tests.sim.scripts import answer, endless, silence

NOBODY: Any = {"manifest": "http://127.0.0.1:9/v1", "llama_swap": "http://127.0.0.1:9/v1"}


def refused(daemon: Daemon) -> tuple[int, str]:
    """The exit code and the words of a daemon that does not start."""
    try:
        return daemon.spawn().wait(), daemon.log()
    finally:
        daemon.close()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("manifset: {}", "key `manifset` is not known; did you mean `manifest`?"),
        ("manifest: {base_url: 3}", "key `manifest.base_url`: expected str, got int"),
        ("manifest: {base_url: 'ftp://x'}", "key `manifest.base_url`: "),
        ("a: b: c", "line 1, column 5"),
    ],
)
def test_a_broken_configuration_exits_78_and_says_file_key_and_what_was_expected(
    text: str, words: str
) -> None:
    daemon = Daemon(**NOBODY)
    daemon.config_file.write_text(text)
    code, said = refused(daemon)
    assert code == 78
    assert said.startswith(f"brainrouter: {daemon.config_file}:")
    assert words in said
    assert "Traceback" not in said
    assert not daemon.socket_path.exists()


@pytest.mark.parametrize(
    "address",
    [
        "9099",
        "127.0.0.1",
        "127.0.0.1:x",
        "127.0.0.1:99999",
        "0.0.0.0:0",
        "192.168.1.1:80",
        "[::]:0",
        ":0",
    ],
)
def test_an_address_that_is_none_or_not_ours_alone_exits_78(address: str) -> None:
    code, said = refused(Daemon(**NOBODY, arguments=("--tcp-addr", address)))
    assert (code, "--tcp-addr: " in said) == (78, True)


def test_a_key_that_no_header_can_carry_exits_78_without_repeating_it() -> None:
    code, said = refused(Daemon(**NOBODY, key="mnfst_secret\x01value"))
    assert (code, "MANIFEST_API_KEY" in said, "secret" in said) == (78, True, False)


def test_a_second_daemon_is_refused_and_names_the_first() -> None:
    with Daemon(**NOBODY) as first:
        assert first.child is not None
        code, said = refused(Daemon(**NOBODY, socket_path=first.socket_path))
        assert code == 1
        assert f"already runs for this user (pid {first.child.pid}, socket {first.socket_path})" in said
        assert first.health()["status"] == "ok"


def test_a_socket_that_a_killed_daemon_left_is_replaced() -> None:
    with Daemon(**NOBODY) as first:
        assert first.child is not None
        first.child.kill()
        first.wait()
        assert first.socket_path.exists()
        with Daemon(**NOBODY, socket_path=first.socket_path) as second:
            assert second.send("GET", "/health", unix=True).status == 200


def test_what_is_no_socket_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "file.sock").write_text("precious")
    (tmp_path / "folder.sock").mkdir()
    (tmp_path / "link.sock").symlink_to(tmp_path / "file.sock")
    for name in ("file.sock", "folder.sock", "link.sock"):
        code, said = refused(Daemon(**NOBODY, socket_path=tmp_path / name))
        assert (code, "is no socket; move it away" in said) == (1, True)
    assert (tmp_path / "file.sock").read_text() == "precious"


def test_a_socket_path_that_is_too_long_is_refused_in_words(tmp_path: Path) -> None:
    code, said = refused(Daemon(**NOBODY, socket_path=tmp_path / ("x" * 108)))
    assert (code, "longer than 107 bytes" in said) == (1, True)


def test_the_socket_is_the_users_alone_and_serves_what_tcp_serves() -> None:
    with Daemon(**NOBODY) as daemon:
        assert stat.S_IMODE(daemon.socket_path.stat().st_mode) == 0o600
        assert stat.S_ISSOCK(daemon.socket_path.stat().st_mode)
        over_unix = daemon.send("GET", "/health", unix=True).json()
        assert over_unix["version"] == daemon.health()["version"]


def test_a_port_that_was_asked_for_and_is_taken_exits_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = refused(Daemon(**NOBODY, arguments=("--tcp-addr", f"127.0.0.1:{port}")))
    assert (code, f"cannot listen on 127.0.0.1:{port}: " in said) == (1, True)


def test_the_default_port_gives_way_to_the_next_free_one_and_it_is_published() -> None:
    try:
        taken = socket.create_server(("127.0.0.1", 9099))
    except OSError:
        taken = socket.socket()  # somebody else has it, which is as good
    with taken, Daemon(**NOBODY, arguments=()) as daemon:
        assert 9100 <= daemon.port < 9119
        assert daemon.socket_path.with_suffix(".port").read_text() == f"{daemon.port}\n"
        assert daemon.health()["status"] == "ok"


def test_sigterm_lets_what_runs_finish_and_exits_0_with_nothing_left_but_state() -> None:
    with Stage() as stage:
        daemon = stage.daemon
        stage.llama_swap.script(answer("to the very end", gate="gate"))
        with daemon.open_stream("local", "finish me") as client:
            eventually(lambda: any(r["method"] == "POST" for r in stage.llama_swap.requests()))
            assert daemon.child is not None
            daemon.child.send_signal(signal.SIGTERM)
            eventually(lambda: not _accepts(daemon.port))
            stage.llama_swap.release()
            said = b""
            while data := client.recv(65536):
                said += data
        assert said.rstrip().endswith(b"0")
        assert b"data: [DONE]\n\n" in said
        assert daemon.wait() == 0
        left = {str(path.relative_to(daemon.home)) for path in daemon.home.rglob("*") if path.is_file()}
        assert left - {"given.yaml", "stderr.log", "run/brainrouter.sock.lock"} == {
            ".local/state/brainrouter/brainrouter.db"
        }
        assert not daemon.socket_path.exists()
        assert "Traceback" not in daemon.log()


def test_a_stream_that_does_not_end_in_time_is_cut_and_never_looks_whole() -> None:
    with Stage(limits={"drain_s": 0.2}) as stage:
        stage.llama_swap.script(endless(gap_s=0.01))
        with stage.daemon.open_stream("local") as client:
            said = client.recv(65536)
            began = time.monotonic()
            assert stage.daemon.stop() == 0
            assert time.monotonic() - began < 4
            while data := client.recv(65536):
                said += data
        assert b"[DONE]" not in said
        assert not said.endswith(b"0\r\n\r\n")
        (kept,) = past(stage.daemon.database)
        assert (kept.event.status, kept.event.error) == (499, "the client left")


def test_a_second_sigterm_ends_at_once() -> None:
    with Stage(limits={"drain_s": 60}) as stage:
        stage.llama_swap.script(silence())
        daemon = stage.daemon
        with daemon.open_stream("local"):
            eventually(lambda: any(r["method"] == "POST" for r in stage.llama_swap.requests()))
            assert daemon.child is not None
            daemon.child.send_signal(signal.SIGTERM)
            eventually(lambda: not _accepts(daemon.port))
            assert daemon.child.poll() is None
            daemon.child.send_signal(signal.SIGTERM)
            assert daemon.wait(3) == 130


def test_a_daemon_with_nothing_to_do_ends_quickly() -> None:
    with Daemon(**NOBODY) as daemon:
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 3


def test_a_repository_cannot_configure_the_daemon(tmp_path: Path) -> None:
    for name in ("brainrouter.yaml", ".brainrouter.yaml"):
        (tmp_path / name).write_text("manifest: {base_url: 'http://evil.example/v1'}")
    program = "import os,sys; os.chdir(sys.argv[1]); from brainrouter.config import load; print(load(None, {'HOME': ''}).files)"
    said = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True, timeout=20
    )
    assert str(tmp_path) not in said.stdout
    assert "brainrouter.yaml" not in said.stdout.replace(str(Path.home()), "")


def test_keys_are_nowhere_in_what_others_can_see() -> None:
    with SimLlamaSwap() as local, Daemon(manifest=NOBODY["manifest"], llama_swap=f"{local.url}/v1") as daemon:
        daemon.chat("local")
        assert daemon.child is not None
        command = Path(f"/proc/{daemon.child.pid}/cmdline").read_bytes()
        seen = command + json.dumps(daemon.health()).encode() + daemon.log().encode()
        assert b"mnfst_sim_key" not in seen


def test_the_version_and_help_are_told_at_once() -> None:
    for words in (["--version"], ["--help"], ["serve", "--help"]):
        done = subprocess.run(
            [sys.executable, "-m", "brainrouter", *words], capture_output=True, text=True, cwd=ROOT, timeout=20,
            env={"PATH": os.environ["PATH"]}, check=True,
        )  # fmt: skip
        assert "brainrouter" in done.stdout


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
