"""A15, A16, A21 to A23: the machine around the daemon: sockets, files, other users, shells, packages."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from pathlib import Path
from typing import Any

from tests.attacks.rig import Fort, fort_of
from tests.daemon import Daemon, eventually
from tests.faults.catalogue import Promise, Row, Trial
from tests.sim.handle import ROOT

NOBODY = 65534


def _as_nobody(family: int, place: str | tuple[str, int], said: bytes) -> str:
    """What another user of the machine gets: the first line of an answer, or the name of an error."""
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # forking beside threads: the child makes system calls only
        child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            with socket.socket(family) as connection:
                connection.settimeout(5)
                connection.connect(place)
                connection.sendall(said)
                os.write(theirs, connection.recv(200).split(b"\r\n")[0])
        except OSError as error:
            os.write(theirs, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with open(ours, "rb") as answer:
        return answer.read().decode()


def sockets(trial: Trial) -> None:
    fort = fort_of(trial)
    daemon = fort.daemon
    daemon.send("POST", "/api/review-config", {"forced_mode": "auto"})
    private = [daemon.socket_path, daemon.database, *daemon.database.parent.glob("*-wal")]
    private += [
        daemon.home / ".config" / "brainrouter" / "review_state.json",
        Path(f"{daemon.socket_path}.lock"),
    ]
    for file in private:
        mode = stat.S_IMODE(file.stat().st_mode)
        trial.hold(Promise.LEAK, not mode & 0o077, f"{file} has mode {mode:o}")
    with tempfile.TemporaryDirectory(prefix="br-") as home:
        place = Path(home) / "made" / "brainrouter.sock"
        with contextlib.closing(Daemon(home=Path(home), socket_path=place)) as other:
            other.spawn()
            eventually(place.exists, 20)
            assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    tried = "needs root"
    if os.getuid() == 0:
        tried = "tried, refused"
        daemon.home.chmod(0o711)  # so that only the socket's own mode is in the way
        daemon.run_dir.chmod(0o711)
        port = ("127.0.0.1", daemon.port)
        asked = f"GET /health HTTP/1.1\r\nhost: 127.0.0.1:{daemon.port}\r\n\r\n".encode()
        said = _as_nobody(socket.AF_UNIX, str(daemon.socket_path), asked)
        trial.hold(Promise.LEAK, said == "PermissionError", f"the socket: {said}")
        said = _as_nobody(socket.AF_INET, port, asked)
        trial.hold(Promise.LEAK, said == "HTTP/1.1 403 Forbidden", f"the port: {said}")
        # What the owner is known by is their connection, not the words that they said before.
        asked = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{daemon.port}\r\n"
            "content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
        ).encode()
        with socket.create_connection(port, 5) as owner:
            owner.sendall(asked)
            assert owner.recv(200).startswith(b"HTTP/1.1 400")
        said = _as_nobody(socket.AF_INET, port, asked)
        trial.hold(Promise.LEAK, said == "HTTP/1.1 403 Forbidden", f"the port, in the owner's words: {said}")
        daemon.run_dir.chmod(0o700)
    _places_of_others(trial)
    trial.figure("another user", tried)


def _places_of_others(trial: Trial) -> None:
    """Folders in which somebody else could put a socket of their own in our place."""
    with tempfile.TemporaryDirectory(prefix="br-") as home:
        for name, mode, owner in (("open", 0o777, None), ("theirs", 0o755, NOBODY)):
            folder = Path(home) / name
            folder.mkdir()
            folder.chmod(mode)
            if owner is not None:
                if os.getuid() != 0:
                    continue
                os.chown(folder, owner, owner)
            with contextlib.closing(Daemon(home=Path(home), socket_path=folder / "b.sock")) as refused:
                trial.hold(Promise.LEAK, refused.spawn().wait(20) == 1, f"{name}: {refused.log()}")
                assert str(folder) in refused.log()
            trial.tried()


CALLER = """
import http.client, json, os, socket, sys
port, first, then = int(sys.argv[1]), sys.argv[2], sys.argv[3]
os.chdir(first)
c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
c.connect()
os.chdir(then)
lies = {"content-type": "application/json", "x-cwd": "/etc", "x-brainrouter-cwd": "/etc", "x-forwarded-for": "10.0.0.1",
        "x-real-ip": "10.0.0.1", "forwarded": "for=10.0.0.1"}
c.request("POST", sys.argv[4], sys.argv[5], lies)
r = c.getresponse()
print(r.status, r.read().decode())
"""


def _calls(fort: Fort, folder: Path, path: str, body: dict[str, Any], then: Path | None = None) -> str:
    arguments = [str(fort.daemon.port), str(folder), str(then or folder), path, json.dumps(body)]
    done = subprocess.run(
        [sys.executable, "-IS", "-c", CALLER, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


def lies(trial: Trial) -> None:
    fort = fort_of(trial)
    project = fort.repository("labelled")
    ask: dict[str, Any] = {"model": "cloud", "messages": [{"role": "user", "content": "from where?"}]}
    for number in trial.runs(20, 2):
        text = f"from where? {number}"
        ask["messages"] = [{"role": "user", "content": text}]
        _calls(fort, project, "/v1/chat/completions", ask)
        seen = fort.daemon.event(text)
        assert seen["cwd"] in (str(project), None), seen["cwd"]  # a label: of the process itself, or none
        trial.tried()
    # Over TCP the folder of a caller gives no right to it; it has to be named, and to be the user's.
    review: dict[str, Any] = {"taskId": "lie", "summary": "x"}
    assert _calls(fort, project, "/review/api/request", review).startswith("400")
    assert _calls(fort, Path("/etc"), "/review/api/request", {**review, "cwd": "/etc"}).startswith("403")
    body = json.dumps({"model": "cloud", "messages": []}).encode()
    for _ in trial.runs(500, 50):  # callers that are gone before they can be looked up
        with socket.create_connection(("127.0.0.1", fort.daemon.port)) as gone:
            gone.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n" % fort.daemon.port)
            gone.sendall(b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        trial.tried()
    eventually(lambda: fort.daemon.health()["in_flight"] == 0)
    assert fort.daemon.chat("cloud").status == 200


def bound(trial: Trial) -> None:
    addresses = ["0.0.0.0:0", "[::]:0", "192.168.1.1:9", "example.com:9", "127.0.0.1.nip.example:9", "0:0", "127.1:0",
                 "localhost.:0", ":9099", "*:9"]  # fmt: skip
    for address in addresses:
        with contextlib.closing(Daemon(arguments=("--tcp-addr", address))) as daemon:
            code = daemon.spawn().wait(20)
            trial.hold(Promise.LEAK, code == 78, f"{address}: {code} {daemon.log()}")
            assert "--tcp-addr" in daemon.log()
            trial.tried()


def shells(trial: Trial) -> None:
    """Words that a shell would act on, in every field of a request that comes near a command."""
    fort = fort_of(trial)
    daemon, touch = fort.daemon, "touch${IFS}pwned"
    words = [f"$({touch})", f"`{touch}`", f";{touch};", f"|{touch}", f"&&{touch}", f"x\n{touch}\n", f"--output={touch}",
             f"-c core.fsmonitor={touch}", f"'; {touch} #", f'"; {touch} #']  # fmt: skip
    for number, word in enumerate(words):
        plain = word.replace("\n", " ")
        daemon.send("POST", "/v1/chat/completions", {"model": word, "messages": [{"role": "user", "content": word}]},
                    user_agent=plain, x_session_id=plain)  # fmt: skip
        for action in ("restart", "upgrade"):
            path = f"/api/{action}/" + "".join(f"%{byte:02x}" for byte in word.encode())
            assert daemon.send("POST", path, {}, unix=True).status in (400, 404)
            assert daemon.send(
                "POST", f"/api/{action}/llama-swap{plain.replace(' ', '')}", {}, unix=True
            ).status in (400, 404)
        repo = fort.repository(f"shell {number} {plain.replace('/', '_')}", {plain.replace("/", "_"): "x\n"})
        found = fort.review(plain, repo, summary=word, details=word)
        assert found.status == 200, found
        trial.tried()
    assert fort.services.changes() == []
    places = [ROOT, daemon.home, fort.folder, Path("/")]
    left = [place for place in places if (place / "pwned").exists()] + [*daemon.home.glob("*/pwned")]
    trial.hold(Promise.FOREIGN_CODE, not left and not fort.marker.exists(), f"ran in {left}")


KNOWN_PTH = {
    "_brainrouter.pth",
    "distutils-precedence.pth",
    "_virtualenv.pth",
    "__editable__.brainrouter.pth",
}
FREE = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software|MPL|Mozilla|Zlib|Unlicense|0BSD|HPND|LGPL|CC0", re.IGNORECASE
)


def packages(trial: Trial) -> None:
    """What is installed is what was locked, starts nothing by itself, and may be passed on."""
    site = Path(sysconfig.get_paths()["purelib"])
    for file in site.glob("*.pth"):
        runs = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("import")]
        trial.hold(Promise.FOREIGN_CODE, not runs or file.name in KNOWN_PTH, f"{file.name}: {runs}")
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE)
    assert len(pins) > 20
    for name in dict(pins):
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system or version of Python
        assert (name, found.version) in pins, f"{name} {found.version} is not what was locked"
        told: Any = found.metadata
        said = [
            *told.get_all("Classifier", []),
            told.get("License-Expression") or "",
            (told.get("License") or "")[:200],
        ]
        assert FREE.search(" ".join(said)), f"{name}: no licence that is known: {said}"
        trial.tried()
    strange = re.findall(r"^\s*(?:-e|--extra-index-url|--index-url|.*@ (?:git|http)).*", text, re.MULTILINE)
    trial.hold(Promise.FOREIGN_CODE, not strange, f"{strange}")
    trial.figure("packages", len(pins))


ROWS = (
    Row("A15", "another user of the machine at the socket, the port, the files; folders where others may write", "modes 600 and 700; 403; such folders are refused", "quick", sockets),
    Row("A16", "callers that lie about where they are, or are gone before they can be looked up", "a label only: no header counts, no right comes of it", "quick", lies),
    Row("A21", "listening where others can reach it", "refused with exit 78: there is no login", "long", bound),
    Row("A22", "shell words in models, prompts, sessions, services, file names, folders", "nothing of a request is part of a command", "quick", shells),
    Row("A23", "packages that start by themselves, or are not the ones that were locked", "no unknown `.pth` that imports; versions as locked with hashes; licences known", "quick", packages),
)  # fmt: skip
