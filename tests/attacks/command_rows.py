"""A19, A20, A24, A25: what is written, fetched, shown in a terminal, or asked for by a chat."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from brainrouter.harness.catalogue import HARNESSES
from tests.attacks.rig import fort_of
from tests.bridge.rig import SIM
from tests.daemon import Daemon, eventually
from tests.faults.catalogue import Promise, Row, Trial
from tests.flows.test_operations import EVIL, Standing, furnished
from tests.harness.test_set_up import BAD, main_file, snapshot
from tests.sim.handle import ROOT, SimLlamaSwap
from tests.sim.releases import program
from tests.sim.scripts import status
from tests.sim.signal import ACCOUNT, Signal


def command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One `brainrouter ...` of a user with that home."""
    env = {
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "PATH": "/usr/bin:/bin",
        "SHELL": "/bin/bash",
    }
    return subprocess.run(
        [sys.executable, "-m", "brainrouter", *arguments], env=env, cwd=ROOT, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=50, check=False,
    )  # fmt: skip


def installer(trial: Trial) -> None:
    for name in HARNESSES:
        for kind in BAD:
            with tempfile.TemporaryDirectory(prefix="br-") as folder:
                home = Path(folder) / "home"
                home.mkdir()
                plant: Callable[[Path, str], None] = BAD[kind][0]
                plant(home, name)
                before = snapshot(Path(folder))
                done = command(home, "install", name, "--yes")
                assert (done.returncode, BAD[kind][1] in done.stdout + done.stderr) == (1, True), (kind, done)
                assert snapshot(Path(folder)) == before, (name, kind)
                trial.tried()
        with tempfile.TemporaryDirectory(prefix="br-") as folder:
            home = Path(folder)
            file = main_file(home, name)
            file.parent.mkdir(parents=True)
            before = snapshot(home)
            assert command(home, "install", name, "--yes").returncode == 0
            installed = snapshot(home)
            assert "Nothing to change" in command(home, "install", name, "--yes").stdout
            assert snapshot(home) == installed
            assert command(home, "uninstall", name, "--yes").returncode == 0
            assert {path for path in snapshot(home) if ".local" not in path} == set(before)
            trial.tried()


def upgrades(trial: Trial) -> None:
    """Each through the daemon's own route, with its token; one thing in ten seconds, so a daemon for each."""
    for what in EVIL:
        data, sums = EVIL[what]
        with tempfile.TemporaryDirectory(prefix="br-") as folder, furnished(Path(folder)) as house:
            house.releases.release(251, data, None if sums is None else sums.format(name=house.releases.name))
            env = {"PATH": f"{house.services.folder}:{os.environ['PATH']}"}
            with Daemon(config={"ops": house.settings()}, env=env) as daemon:
                standing = Standing(house, daemon)
                ended = standing.result(standing.act("upgrade", "llama-swap", standing.token))
            kept = house.binary.read_bytes() == program("v250")
            trial.hold(Promise.FOREIGN_CODE, ended["state"] == "failed" and kept, f"{what}: {ended}")
            assert [path.name for path in house.binary.parent.iterdir()] == ["llama-swap"], what
            assert house.services.changes() == []
            trial.tried()


ESCAPES = [
    "\x1b]0;title\x07",
    "\x1b[2J\x1b[H",
    "\x1b[8m",
    "\x1bP+q\x1b\\",
    "\x9b2J",
    "\x1b[?1049h",
    "\r\x1b[K",
    "\x08\x08\x08",
    "\x7f",
    "\u202e",
]
# Colours, and moving about for the bar that shows progress, are ours.
OURS = re.compile(rb"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[[0-9]*[AK]|\x1b\[2K|\x1b\[1A")


def terminals(trial: Trial) -> None:
    """Text of others on the screen of `up`, in `doctor`, and in the log that somebody reads with `less -R`."""
    word = "".join(ESCAPES)
    models = [{"id": "gemma-small", "context": 8192}, {"id": f"evil{word}model"}]
    with SimLlamaSwap(models=models) as llama_swap, tempfile.TemporaryDirectory(prefix="br-") as home:
        screen, daemon = _on_a_terminal(Path(home), llama_swap)
        with contextlib.closing(daemon):
            for text in ESCAPES:
                llama_swap.script(status(500, {"error": {"message": f"failed{text}{word}"}}))
                body = {"model": "local", "messages": [{"role": "user", "content": f"hello{text}{word}"}]}
                daemon.send("POST", "/v1/chat/completions", body, user_agent="evil/1.0")
                daemon.send("POST", "/v1/chat/completions", body | {"model": f"name{text}{word}"})
                trial.tried()
            eventually(lambda: b"name" in screen, what="the last request on the screen")
            doctor = [sys.executable, "-m", "brainrouter", "doctor", "--socket", str(daemon.socket_path)]
            env = {"HOME": home, "PATH": os.environ["PATH"]}
            told = subprocess.run(doctor, env=env, cwd=ROOT, capture_output=True, check=False).stdout
        for place, raw in (("up", bytes(screen)), ("doctor", told)):
            left = OURS.sub(b"", raw)
            strange = [bytes([byte]) for byte in left if (byte < 32 and byte not in b"\r\n\t") or byte == 127]
            trial.hold(Promise.LEAK, not strange, f"{place}: {strange} in {left[-600:]!r}")
            shown = left.decode("utf-8", "replace")
            trial.hold(Promise.LEAK, not set(shown) & {"\x9b", "\u202e"}, f"{place}: {shown[-600:]!r}")


def _on_a_terminal(home: Path, llama_swap: SimLlamaSwap) -> tuple[bytearray, Daemon]:
    """`brainrouter up` on a terminal, and all that it writes there."""
    ours, theirs = pty.openpty()
    daemon = Daemon(llama_swap=f"{llama_swap.url}/v1", home=home)
    screen = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):
            while data := os.read(ours, 65536):
                screen.extend(data)

    threading.Thread(target=read, daemon=True).start()
    daemon.child = subprocess.Popen(
        [sys.executable, "-m", "brainrouter", "up", "--config", str(daemon.config_file), "--tcp-addr", "127.0.0.1:0",
         "--socket", str(daemon.socket_path), "--log-level", "info"],
        env={"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "xterm-256color", "COLUMNS": "200"},
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT,
    )  # fmt: skip
    os.close(theirs)
    eventually(daemon.socket_path.with_suffix(".port").exists, 20)
    daemon.port = int(daemon.socket_path.with_suffix(".port").read_text())
    eventually(lambda: daemon.health()["local"]["state"] == "healthy", 20)
    return screen, daemon


OWNER, STRANGER = "+15550000004", "+15550000666"


def chats(trial: Trial) -> None:
    """Options, paths and shell words from a chat; and somebody whom nobody allowed."""
    fort = fort_of(trial)
    with tempfile.TemporaryDirectory(prefix="br-") as folder, Signal(Path(folder) / "s.sock") as signal:
        home = Path(folder) / "home"
        (home / "data").mkdir(parents=True)
        on = {"enabled": True, "account": ACCOUNT, "allowed_numbers": [OWNER], "rpc": signal.address}
        env = {"PATH": f"{SIM}:{os.environ['PATH']}", "XDG_DATA_HOME": str(home / "data")}
        with Daemon(
            manifest=f"{fort.manifest.url}/v1", home=home, config={"bridge": {"signal": on}}, env=env
        ) as daemon:
            eventually(lambda: daemon.get("/api/bridge-status")["signal"]["state"] == "connected")
            signal.says("!br ls", user=STRANGER)
            signal.says("hello", user=STRANGER)
            for to in ("..", "../..", "/etc", "/", "~", "../../../../etc", "$(id)", "-P", "\x00"):
                signal.says(f"!br cd {to}", user=OWNER)
                signal.says(f"!br mkdir {to}", user=OWNER)
            texts = [
                "--model=evil",
                "-p evil --tools=bash",
                "@/etc/passwd",
                "$(touch pwned)",
                "`touch pwned`",
                "; touch pwned",
                "/quit",
            ]
            runs = home / "data" / "omp-runs.jsonl"
            for number, text in enumerate(texts, 1):
                signal.says(text, user=OWNER)
                eventually(
                    lambda n=number: runs.exists() and len(runs.read_text().splitlines()) >= n, 15.0, text
                )
            started = [json.loads(line) for line in runs.read_text(encoding="utf-8").splitlines()]
        for run in started:
            argv = " ".join(run["argv"])
            mine = [text for text in texts if text in argv]
            trial.hold(Promise.FOREIGN_CODE, not mine, f"text of a chat among the options: {run['argv']}")
            inside = Path(run["cwd"]).is_relative_to(home / "projects")
            trial.hold(Promise.LEAK, inside, f"omp ran in {run['cwd']}")
            trial.hold(Promise.LEAK, "MANIFEST_API_KEY" not in run["env"], "omp was given the key")
            trial.tried()
        assert {run["text"] for run in started} >= set(texts)
        assert not [sent for sent in signal.sent if STRANGER in json.dumps(sent)]
        assert not [*home.rglob("pwned"), *ROOT.glob("pwned")]


ROWS = (
    Row("A19", "configurations of harnesses that are links, pipes, broken, huge; installed twice, taken back", "refused by name with nothing written; else every byte comes back", "long", installer, 600.0),
    Row("A20", "releases with wrong sums, links, names that lead out, other machines' programs", "the old program stays, and nothing is restarted", "long", upgrades, 240.0),
    Row("A24", "escape sequences in names, prompts and errors, on a terminal", "shown as text, by `up` and by `doctor`", "quick", terminals, 120.0),
    Row("A25", "chats that send options, paths and shell words; strangers", "text goes to omp as text, in its own folder, without keys; strangers hear nothing", "quick", chats, 120.0),
)  # fmt: skip
