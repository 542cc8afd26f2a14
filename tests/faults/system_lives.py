"""S6 to S8, S10 and S11: no descriptors, starting, ending, and what is left of the daemon's surroundings."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from tests.daemon import Daemon, Stage
from tests.faults.catalogue import Promise, Row, Trial
from tests.faults.rig import (
    TEXT,
    cpu_s,
    eventually,
    open_files,
    patient,
    pid_of,
    quiet,
)
from tests.faults.system_rows import alone, serves
from tests.faults.ways import STREAMS, WAYS, Heard, Way, unique
from tests.sim.scripts import answer, cut_after

MCP = [sys.executable, "-m", "brainrouter", "mcp", "--socket"]


def no_descriptors(trial: Trial) -> None:
    """Connections are left open until no more descriptors are to be had; then they are closed."""
    with patient() as stage:
        daemon = stage.daemon
        stage.manifest.script(answer(TEXT))
        pid = pid_of(daemon)
        serves(trial, daemon)
        was = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_files(pid) + 12, was[1]))
        with contextlib.ExitStack() as held:
            for _ in range(64):
                with contextlib.suppress(OSError):
                    held.enter_context(socket.create_connection(("127.0.0.1", daemon.port), timeout=1))
            used, started = cpu_s(pid), time.monotonic()
            time.sleep(2.0 if trial.whole else 0.5)  # how busy it is meanwhile
            busy = (cpu_s(pid) - used) / (time.monotonic() - started)
            assert busy < 0.2, f"it spins: {busy:.0%} of a core"
        began = time.monotonic()
        eventually(lambda: _answers(daemon), 5.0, "it serves again")
        trial.figure("CPU meanwhile", busy * 100, "%")
        trial.within("serves again after", time.monotonic() - began, 2, "s")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, was)
        serves(trial, daemon)
        quiet(trial, daemon)


def _answers(daemon: Daemon) -> bool:
    try:
        return WAYS[1].ask(daemon, "cloud", "again").status == 200
    except OSError:
        return False


def taken_places(trial: Trial) -> None:
    """A second daemon, stale sockets, and things in the way that are not ours."""
    with alone() as (daemon, cloud):
        daemon.start()
        for _ in trial.runs(8):
            rivals = [
                Daemon(home=daemon.home, manifest=f"{cloud.url}/v1", socket_path=daemon.socket_path)
                for _ in range(2)
            ]
            for rival in rivals:
                rival.log_file = daemon.home / f"rival-{id(rival)}.log"
                rival.spawn()
            for rival in rivals:
                assert rival.wait(60) == 1
                assert str(pid_of(daemon)) in rival.log()
            trial.tried(2)
        serves(trial, daemon)
        for _ in trial.runs(8):  # killed, so that all three files stay behind
            assert daemon.child is not None
            daemon.child.kill()
            daemon.child.wait()
            daemon.socket_path.with_suffix(".port").unlink(missing_ok=True)
            daemon.start()
            assert daemon.get("/health", unix=True)["status"] == "ok"
            trial.tried()
    _races(trial)
    for what in ("file", "folder", "link"):
        with alone() as (daemon, _):
            target = daemon.home / "precious"
            target.write_text("precious", encoding="ascii")
            if what == "folder":
                daemon.socket_path.mkdir()
            elif what == "link":
                daemon.socket_path.symlink_to(target)
            else:
                daemon.socket_path.write_text("precious", encoding="ascii")
            daemon.spawn()
            assert daemon.wait(60) == 1
            assert "no socket" in daemon.log()
            assert target.read_text(encoding="ascii") == "precious"
            assert daemon.socket_path.is_dir() or daemon.socket_path.read_text(encoding="ascii") == "precious"
            trial.tried()
    with alone(socket_path=Path("/tmp") / ("x" * 110)) as (daemon, _):
        daemon.spawn()
        assert daemon.wait(60) == 1
        assert "longer than" in daemon.log()
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        with alone(arguments=("--tcp-addr", f"127.0.0.1:{port}")) as (daemon, _):
            daemon.spawn()
            assert daemon.wait(60) == 1
            assert "in use" in daemon.log()
    trial.tried(2)


def _races(trial: Trial) -> None:
    """Several start at the same moment: exactly one lives, and it serves."""
    for _ in trial.runs(20):
        with alone() as (first, cloud), contextlib.ExitStack() as stack:
            rivals = [first]
            for number in range(3):
                rival = Daemon(home=first.home, manifest=f"{cloud.url}/v1", socket_path=first.socket_path)
                rival.log_file = first.home / f"rival-{number}.log"
                rivals.append(rival)
                stack.callback(rival.close)
            for rival in rivals:
                rival.spawn()
            eventually(lambda among=rivals: _ended(among) == 3, 20.0, "all but one gave way")
            (winner,) = [rival for rival in rivals if rival.child is not None and rival.child.poll() is None]
            eventually(winner.socket_path.with_suffix(".port").exists, what="it serves")
            assert winner.get("/health", unix=True)["status"] == "ok"
            assert _ended(rivals) == 3
            trial.tried()


def _ended(rivals: list[Daemon]) -> int:
    return sum(rival.child is not None and rival.child.poll() is not None for rival in rivals)


def drained(trial: Trial) -> None:
    """SIGTERM under many streams: those that end in time are whole, the others say that they are not."""
    crowd = 100 if trial.whole else 24
    for _ in trial.runs(5):
        for kind in ("in time", "too late"):
            with Stage(limits={"drain_s": 4 if trial.whole else 1.5}) as stage:
                stage.manifest.script(cut_after(7, "gate", text=TEXT))
                heard: list[Heard | OSError] = []
                asking = [
                    threading.Thread(target=_one, args=(heard, stage.daemon, STREAMS[n % 3]))
                    for n in range(crowd)
                ]
                for one in asking:
                    one.start()
                eventually(
                    lambda there=stage: there.daemon.health()["in_flight"] == crowd, 20.0, "all are under way"
                )
                eventually(lambda there=stage: _phases(there) == {"generating"}, 20.0, "all have begun")
                assert stage.daemon.child is not None
                started = time.monotonic()
                stage.daemon.child.send_signal(signal.SIGTERM)
                if kind == "in time":
                    stage.manifest.release()
                assert stage.daemon.wait(30.0) == 0
                took = time.monotonic() - started
                for one in asking:
                    one.join()
                assert len(heard) == crowd
                for found in heard:
                    looks = isinstance(found, Heard) and found.complete
                    whole = isinstance(found, Heard) and found.text == TEXT
                    trial.hold(Promise.FALSE_END, not looks or whole, str(found))
                    assert looks or kind == "too late", found
                trial.tried(crowd)
                trial.figure(f"exit with {crowd} streams that would end {kind}", took, "s")
    with Stage(limits={"drain_s": 30}) as stage:  # long enough to be there for the second signal
        stage.manifest.script(answer(TEXT, gap_s=1.0))
        with STREAMS[0].open(stage.daemon, "cloud", "two signals") as client:
            assert client.recv(100)
            assert stage.daemon.child is not None
            stage.daemon.child.send_signal(signal.SIGTERM)
            eventually(lambda: _refuses(stage.daemon), what="it takes no more")
            stage.daemon.child.send_signal(signal.SIGTERM)
            assert stage.daemon.wait(5.0) == 130
    trial.tried()


def _one(heard: list[Heard | OSError], daemon: Daemon, way: Way) -> None:
    try:
        heard.append(way.ask(daemon, "cloud", unique("until the end")))
    except OSError as error:
        heard.append(error)


def _phases(stage: Stage) -> set[str]:
    rows = stage.daemon.get("/api/inference-status")["requests"]
    return {row["phase"] for row in rows}


def _refuses(daemon: Daemon) -> bool:
    try:
        socket.create_connection(("127.0.0.1", daemon.port), timeout=1).close()
    except OSError:
        return True
    return False


def no_output(trial: Trial) -> None:
    """stdout and stderr closed, gone, full: nothing that is said may hold up what is served."""
    for kind in ("closed", "broken pipe", "full pipe", "full disk"):
        with alone(env={"BRAINROUTER_LOG": "debug"}) as (daemon, _), contextlib.ExitStack() as stack:
            _spawn_with(daemon, kind, stack)
            eventually(lambda there=daemon: _up(there), 20.0, f"it serves with {kind}")
            serves(trial, daemon, len(trial.runs(60, 30 if kind == "full pipe" else 1)))
            quiet(trial, daemon)
            assert daemon.stop() == 0, kind


def _spawn_with(daemon: Daemon, kind: str, stack: contextlib.ExitStack) -> None:
    """Start with a stderr that is of no use."""
    command = [sys.executable, "-m", "brainrouter", "serve", "--config", str(daemon.config_file)]
    command += ["--socket", str(daemon.socket_path), "--tcp-addr", "127.0.0.1:0"]
    environment = daemon.environment
    if kind == "closed":
        command = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command]
        daemon.child = subprocess.Popen(command, env=environment)
    elif kind == "full disk":
        with Path("/dev/full").open("wb") as full:
            daemon.child = subprocess.Popen(command, env=environment, stdout=full, stderr=full)
    else:
        reading, writing = os.pipe()
        daemon.child = subprocess.Popen(command, env=environment, stdout=writing, stderr=writing)
        os.close(writing)
        if kind == "broken pipe":
            os.close(reading)
        else:
            stack.callback(os.close, reading)


def _up(daemon: Daemon) -> bool:
    daemon.must_run()
    try:
        daemon.port = int(daemon.socket_path.with_suffix(".port").read_text(encoding="ascii"))
        return daemon.health()["status"] == "ok"
    except (OSError, ValueError):
        return False


def mcp_in_trouble(trial: Trial) -> None:
    """The MCP server without its daemon, with one that dies, and with lines that nobody would send."""
    with alone() as (daemon, cloud):
        with _server(daemon) as (talk, out):
            _initialise(talk, out)
            assert "brainrouter" in json.dumps(_call(talk, out, 2, "get_session_list", {}))
            daemon.start()
            assert (
                "error"
                not in _call(talk, out, 3, "get_session_list", {})["result"]
                .get("content", [{}])[0]
                .get("text", "")[:20]
            )
            trial.tried(2)
        with _server(daemon) as (talk, out):
            _initialise(talk, out)
            chance = random.Random(11)
            for _ in trial.runs(500, 20):
                talk.write(_odd_line(chance) + b"\n")
                trial.tried()
            talk.write(b"x" * (10 << 20) + b"\n")
            talk.flush()
            found = _call(talk, out, 99_999, "get_session_list", {})
            assert found["result"]
        with _server(daemon) as (talk, out):
            _initialise(talk, out)
            cloud.script({"do": "silence"})
            request = {"taskId": "dies", "summary": "s", "cwd": str(daemon.home)}
            _send(
                talk,
                {
                    "jsonrpc": "2.0",
                    "id": 5,
                    "method": "tools/call",
                    "params": {"name": "request_review", "arguments": request},
                },
            )
            assert daemon.child is not None
            daemon.child.kill()
            daemon.child.wait()
            reply = _reply(out, 5)
            assert reply["result"]["isError"], reply
            trial.tried()
    with alone() as (daemon, _), _server(daemon) as (talk, out):  # half a line, then the end of all input
        _initialise(talk, out)
        talk.write(b'{"jsonrpc":"2.0","id":6,"method":"tools/li')
        talk.flush()
        trial.tried()


@contextlib.contextmanager
def _server(daemon: Daemon) -> Any:
    """`brainrouter mcp`; ends when its stdin does, having written nothing but messages."""
    child = subprocess.Popen(
        [*MCP, str(daemon.socket_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HOME": str(daemon.home), "XDG_RUNTIME_DIR": str(daemon.run_dir)},
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        yield child.stdin, child.stdout
        child.stdin.close()
        for line in child.stdout.read().splitlines():
            assert json.loads(line)["jsonrpc"] == "2.0"
        assert child.wait(10) == 0
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def _initialise(talk: IO[bytes], out: IO[bytes]) -> None:
    about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    _send(talk, {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about})
    assert _reply(out, 1)["result"]["serverInfo"]
    _send(talk, {"jsonrpc": "2.0", "method": "notifications/initialized"})


def _send(talk: IO[bytes], message: dict[str, Any]) -> None:
    talk.write(json.dumps(message).encode() + b"\n")
    talk.flush()


def _call(
    talk: IO[bytes], out: IO[bytes], number: int, tool: str, arguments: dict[str, Any]
) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments}
    _send(talk, {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params})
    return _reply(out, number)


def _reply(out: IO[bytes], number: int) -> dict[str, Any]:
    """The answer of that number; every line before it is a message too."""
    while line := out.readline():
        message = json.loads(line)
        assert message["jsonrpc"] == "2.0"
        if message.get("id") == number:
            return message
    raise AssertionError("it ended without an answer")


def _odd_line(chance: random.Random) -> bytes:
    lines: list[bytes] = [
        b"", b"{", b"[]", b"null", b'"x"', b"{}" * 20, b"\xff\xfe", b'{"jsonrpc":"2.0"}', b"[" * 3000,
        b'{"jsonrpc":"2.0","id":7,"method":"no/such"}', b'{"jsonrpc":"1.0","id":8,"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":{},"method":"tools/list"}', b'{"jsonrpc":"2.0","id":9,"method":"tools/call","params":[]}',
        b'{"jsonrpc":"2.0","id":10,"method":"tools/list"}{"jsonrpc":"2.0","id":11,"method":"tools/list"}',
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":4711}}',
    ]  # fmt: skip
    return chance.choice(
        [*lines, chance.randbytes(chance.randint(1, 300)).replace(b"\n", b"").replace(b"\r", b"")]
    )


ROWS = (
    Row("S6", "no descriptors are left", "it does not spin; it serves again once there are some", "quick", no_descriptors, 60),
    Row("S7", "a second daemon, races, stale sockets, a file, folder or link in the way, a long path, a port taken", "one lives; the others say why and exit 1; what is not ours is not touched", "long", taken_places, 900),
    Row("S8", "SIGTERM under 100 streams; a second SIGTERM", "what ends in time is whole, the rest does not look whole; exit 0; at once", "quick", drained, 180),
    Row("S10", "stdout and stderr closed, broken, full", "it serves on", "quick", no_output, 120),
    Row("S11", "MCP: no daemon, one that dies mid-call, 10 MB lines, two messages on one line, half a line and the end, rubbish", "an error result; nothing on stdout but messages", "quick", mcp_in_trouble, 120),
)  # fmt: skip
