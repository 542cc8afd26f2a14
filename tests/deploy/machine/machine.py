"""A disposable machine: systemd as process 1 in namespaces of its own, on an overlay that knows what was changed.

systemd, logind, polkit, apt, users, permissions and the Docker engine in it are the real ones. It has a network
namespace of its own, with a way out through slirp4netns; 10.0.2.2 is the loopback of the host.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.machine.bare import CA_BUNDLE, CACHE, ROOT

BOOT_S = 60
RUN_S = 900
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CA_INSIDE = "/host-ca.pem"
ENV = {
    "PATH": PATH,
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "PIP_CERT": CA_INSIDE,
    "SSL_CERT_FILE": CA_INSIDE,
    "CURL_CA_BUNDLE": CA_INSIDE,
    "NODE_EXTRA_CA_CERTS": CA_INSIDE,
}
# What the Docker engine needs of a container that it runs in: /proc/sys/net to write to, and control groups of its own.
ENGINE_ROOM = {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
# The machine's own life: what runs there writes these, whether anything was installed or not.
LIFE = (
    "dev", "proc", "sys", "run", "tmp", "checkout", "var/log", "var/tmp", "var/lib/docker", "var/lib/containers", "var/lib/containerd", "var/lib/cni",
    "var/cache", "var/backups", "var/lib/apt", "var/lib/dpkg", "var/lib/private", "var/lib/systemd/catalog",
    "var/lib/systemd/random-seed", "var/lib/systemd/timers", "var/lib/systemd/timesync", "var/lib/systemd/coredump",
    "var/lib/systemd/deb-systemd-helper-enabled", "etc/machine-id", "etc/.updated", "var/.updated", "etc/docker/key.json",
    "etc/group-", "etc/gshadow-", "etc/passwd-", "etc/shadow-", "etc/subuid-", "etc/subgid-", "host-ca.pem",
    "etc/ssl/certs/ca-certificates.crt",
)  # fmt: skip


@dataclass
class Done:
    """What a command said, both streams in one, and how it ended."""

    code: int
    output: str


class Machine:
    """`with Machine(...) as it`: `it.run` commands in it; `it.changed` tells what differs from the layers below."""

    def __init__(self, name: str, layers: list[Path]) -> None:
        self.place = CACHE / "machines" / name
        self.root, self.upper = self.place / "root", self.place / "upper"
        # What the engines keep: on no overlay, since theirs cannot lie on another. Both sides see it.
        self.docker, self.podman = self.place / "docker", self.place / "podman"
        self.layers = layers
        self._children: list[subprocess.Popen[bytes]] = []
        self._leader = 0
        self.env = dict(ENV)
        self._marked: dict[str, str] | None = None

    def on(self) -> None:
        """Power on, with an empty overlay."""
        self._forget()
        self.place.mkdir(parents=True)
        # In memory: hundreds of thousands of small files come and go.
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=12g,mode=755", "tmpfs", str(self.place)], check=True
        )
        for folder in (self.root, self.upper, self.place / "work", self.docker, self.podman):
            folder.mkdir(parents=True)
        lower = ":".join(str(layer) for layer in self.layers)
        options = f"lowerdir={lower},upperdir={self.upper},workdir={self.place / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(self.root)], check=True)
        shutil.copy(CA_BUNDLE, self.root / "host-ca.pem")
        # For what runs without our environment: the daemons of the people.
        if (self.root / str(CA_BUNDLE).lstrip("/")).exists():
            shutil.copy(CA_BUNDLE, self.root / str(CA_BUNDLE).lstrip("/"))
        self.boot()

    def boot(self) -> None:
        """Start systemd in it and wait until it says that it is up."""
        net = self._start("unshare", "--net", "sleep", "infinity")
        self._wait(lambda: os.readlink(f"/proc/{net.pid}/ns/net") != os.readlink("/proc/self/ns/net"))
        self._start("slirp4netns", "--configure", "--mtu=1500", str(net.pid), "tap0")
        nspawn = [
            "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--capability=all", "--resolv-conf=off", "--system-call-filter=@keyring bpf",
            f"--network-namespace-path=/proc/{net.pid}/ns/net", f"--directory={self.root}",
            f"--bind-ro={self._checkout()}:/checkout", f"--bind={self.docker}:/var/lib/docker", f"--bind={self.podman}:/var/lib/containers", "--boot",
        ]  # fmt: skip
        # /run of the host may not be a tmpfs, and systemd-nspawn wants one.
        private = 'mount -t tmpfs tmpfs /run && mkdir /run/systemd && exec "$@"'
        boot = self._start("unshare", "--mount", "sh", "-c", private, "sh", *nspawn, **ENGINE_ROOM)
        self._wait(lambda: self._found_leader(boot.pid))
        self._wait(
            lambda: (
                self.run("systemctl is-system-running", quiet=True).output.strip() in ("running", "degraded")
            )
        )

    def off(self) -> None:
        """Power off; the overlay stays to be looked at."""
        if self._leader:
            self.run("systemctl poweroff", quiet=True)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._children[-1].wait(30)
        for child in reversed(self._children):
            child.send_signal(signal.SIGKILL)
            child.wait()
        self._children.clear()
        self._leader = 0

    def __enter__(self) -> Machine:
        try:
            self.on()
        except BaseException:
            self.off()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.off()
        self._forget()

    def run(self, command: str, *, quiet: bool = False, user: str = "root", **env: str) -> Done:
        """A command line in a root shell there, or as somebody who logs in."""
        words = (
            ["bash", "-c", f"cd / && {command}"]
            if user == "root"
            else ["runuser", "--login", user, "-c", command]
        )
        space = [
            "nsenter",
            f"--target={self._leader}",
            "--mount",
            "--uts",
            "--ipc",
            "--pid",
            "--net",
            "--cgroup",
        ]
        with tempfile.TemporaryFile() as said:
            child = subprocess.Popen(
                [*space, "env", "-i", *(f"{k}={v}" for k, v in {**self.env, **env}.items()), *words],
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip
            try:
                code = child.wait(RUN_S)
            finally:
                child.kill()
            said.seek(0)
            output = said.read().decode("utf-8", "replace")
        if not quiet and code:
            print(f"[{self.place.name}] {command}\n{output[-3000:]}")
        return Done(code, output)

    def ok(self, command: str, user: str = "root") -> str:
        """Like `run`, for what must work."""
        done = self.run(command, user=user)
        assert done.code == 0, f"{command}: exit code {done.code}\n{done.output[-4000:]}"
        return done.output

    def state(self, less: re.Pattern[str] | None = None) -> dict[str, str]:
        """Every path that the overlay holds, with all that is to be said of it: kind, mode, owner, content."""
        found: dict[str, str] = {}
        for path in self._touched():
            relative = path.relative_to(self.upper).as_posix()
            if less is None or not less.match(relative):
                found[relative] = described(self.root / relative)
        return found

    def mark(self) -> None:
        """From here on `changed` tells what is otherwise than at this moment."""
        self._marked = self.state()

    def changed(self) -> dict[str, tuple[str, str]]:
        """What is otherwise than in the layers below, or than at the mark: path -> (then, now)."""
        now, then = self.state(), self._marked or {}
        found = {
            path: (then.get(path) or self._below(path), now.get(path) or self._below(path))
            for path in sorted(now.keys() | then.keys())
        }
        pairs = {path: (_there(was), _there(it)) for path, (was, it) in found.items()}
        return {path: (was, it) for path, (was, it) in pairs.items() if was != it}

    def _below(self, relative: str) -> str:
        layers = (layer / relative for layer in self.layers)
        return next((described(path) for path in layers if os.path.lexists(path)), "absent")

    def _touched(self) -> Iterator[Path]:
        for folder, folders, files in os.walk(self.upper):
            here = Path(folder)
            inside = here.relative_to(self.upper)
            folders[:] = sorted(name for name in folders if (inside / name).as_posix() not in LIFE)
            for name in (*folders, *sorted(files)):
                if (inside / name).as_posix() not in LIFE:
                    yield here / name

    def _checkout(self) -> Path:
        """The tracked files, and those that are not ignored, as somebody who cloned them has them."""
        place = self.place / "checkout"
        if not place.exists():
            place.mkdir()
            names = subprocess.run(
                ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                cwd=ROOT, check=True, stdout=subprocess.PIPE,
            ).stdout  # fmt: skip
            _copied(names, place)
        return place

    def _found_leader(self, parent: int) -> bool:
        try:
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        except OSError as error:
            raise AssertionError(f"the machine did not boot; see {self.place / 'console.log'}") from error
        # systemd-nspawn's own helpers are children of its, too, for a moment.
        named = {child: Path(f"/proc/{child}/comm").read_text().strip() for child in children}
        self._leader = next((int(child) for child, name in named.items() if name == "systemd"), 0)
        return bool(self._leader)

    def _start(self, *words: str, **env: str) -> subprocess.Popen[bytes]:
        with (self.place / "console.log").open("ab") as log:
            child = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **env}
            )
        self._children.append(child)
        return child

    def _wait(self, ready: object) -> None:
        until = time.monotonic() + BOOT_S
        while not ready():  # type: ignore[operator]
            assert time.monotonic() < until, f"the machine is not up; see {self.place / 'console.log'}"
            time.sleep(0.1)

    def _forget(self) -> None:
        for mounted in (self.root, self.place):
            if os.path.ismount(mounted):
                subprocess.run(["umount", str(mounted)], check=True)
        shutil.rmtree(self.place, ignore_errors=True)


def _copied(names: bytes, place: Path) -> None:
    tar = subprocess.run(
        ["tar", "--create", "--null", "--files-from=-"],
        cwd=ROOT,
        input=names,
        check=True,
        stdout=subprocess.PIPE,
    )
    subprocess.run(["tar", "--extract", "--directory", str(place)], input=tar.stdout, check=True)


def _there(said: str) -> str:
    return "absent" if said.startswith("whiteout") else said


def described(path: Path) -> str:
    """All that can be told of a path but its times."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return "absent"
    who = f"{stat.filemode(found.st_mode)} {found.st_uid}:{found.st_gid}"
    if stat.S_ISLNK(found.st_mode):
        return f"{who} -> {os.readlink(path)}"
    if stat.S_ISREG(found.st_mode):
        with path.open("rb") as file:
            return f"{who} {hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
    if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
        return "whiteout"
    return who
