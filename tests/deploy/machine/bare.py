"""The file systems that the machines start from: a bare Debian server, and the same with install.sh's packages.

Made once into the cache: debootstrap from the mirror that this machine's apt uses, as `scripts/bare` does it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CACHE = ROOT / ".cache" / "deploy"
SUITE = os.environ.get("DEPLOY_SUITE", "bookworm")
# What a server has that somebody has installed Debian on, and nothing of ours.
SERVER = "systemd systemd-sysv dbus dbus-user-session libpam-systemd util-linux sudo passwd"
CHROOT_ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def base() -> Path:
    """A bare Debian server's file system, for a lower layer only: nobody may write to it."""
    place = CACHE / f"base-{SUITE}"
    if not (CACHE / f"base-{SUITE}.done").exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        subprocess.run(
            ["debootstrap", "--variant=minbase", SUITE, str(place), mirror()],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        for name in ("resolv.conf", "hosts"):
            shutil.copy(f"/etc/{name}", place / "etc" / name)
        inside = (
            f"apt-get update -q && apt-get install -y -q --no-install-recommends {SERVER} && apt-get clean"
        )
        mount = 'mount -t proc proc "$0/proc" && exec chroot "$0" sh -c "$1"'
        subprocess.run(
            ["unshare", "--mount", "sh", "-c", mount, str(place), inside],
            check=True,
            env=CHROOT_ENV,
            stdout=subprocess.DEVNULL,
        )
        (place / "etc" / "hostname").write_text("shared\n")
        (place / "etc" / "hosts").write_text("127.0.0.1 localhost shared\n")
        (place / "etc" / "resolv.conf").write_text("nameserver 10.0.2.3\n")
        (CACHE / f"base-{SUITE}.done").touch()
    return place


def out_of(package: str, path: str) -> Path:
    """One file of a Debian package."""
    unpacked = CACHE / "unpacked" / package
    if not (unpacked / path).exists():
        unpacked.mkdir(parents=True, exist_ok=True)
        apt = ["apt-get", "download", "-q", package]
        subprocess.run(apt, cwd=unpacked, check=True, stdout=subprocess.DEVNULL)
        (deb,) = unpacked.glob(f"{package}_*.deb")
        subprocess.run(["dpkg-deb", "--extract", str(deb), str(unpacked)], check=True)
    return unpacked / path


def mirror() -> str:
    """The mirror that this machine's apt uses for the suite."""
    for file in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        for stanza in re.split(r"\n\s*\n", text):
            uri = re.search(r"^URIs:\s*(\S+)", stanza, re.MULTILINE)
            suites = re.search(r"^Suites:(.*)$", stanza, re.MULTILINE)
            if uri and suites and SUITE in suites.group(1).split():
                return uri.group(1)
        line = re.search(rf"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+{SUITE}\s", text, re.MULTILINE)
        if line:
            return line.group(1)
    raise LookupError(f"no apt source for {SUITE} was found in /etc/apt")
