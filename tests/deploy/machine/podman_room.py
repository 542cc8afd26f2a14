"""A machine on which Podman can run though it is in namespaces itself, and the images that it is given there."""

from __future__ import annotations

import io
import resource
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.deploy.machine.bare import CA_BUNDLE, CACHE, base, mirror, out_of
from tests.deploy.machine.machine import CA_INSIDE, ENV, Machine

TOOLBOX_IMAGE = "docker.io/kyuz0/amd-strix-halo-toolboxes:vulkan-radv"
PYTHON_IMAGE = "docker.io/library/python:3.13-slim"
# The Debian whose python3 is a 3.13, as the one below that image is.
PYTHON_SUITE = "trixie"
LLAMA_SERVER = """#!/bin/sh
echo "version: 4711 (0123abc)"
echo "told: $*"
"""


def make_room(machine: Machine) -> None:
    """What lets Podman run here. Not crun, which raises a limit that root of a namespace may not raise; limits that are
    no higher than this machine's; no control group for the number of processes."""
    machine.ok("apt-get update -q && apt-get install -y -q --no-install-recommends runc slirp4netns")
    limits = {
        "nofile": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        "nproc": resource.getrlimit(resource.RLIMIT_NPROC)[1],
    }
    words = ", ".join(f'"{name}={limit}:{limit}"' for name, limit in limits.items())
    text = f'[containers]\ndefault_ulimits = [{words}]\npids_limit = 0\n[engine]\nruntime = "runc"\n'
    (machine.root / "etc" / "containers").mkdir()
    (machine.root / "etc" / "containers" / "containers.conf").write_text(text, encoding="utf-8")


def after_boot(machine: Machine) -> None:
    """As on any other machine: /run/host, a folder of systemd-nspawn's here, leads toolbox to the libraries that it is
    linked with, and everybody may use tun."""
    machine.ok(
        "mount -o remount,rw /run/host && for name in lib lib64 usr; do ln -sfT /$name /run/host/$name; done"
    )
    machine.ok("chmod 666 /dev/net/tun")


def storage_of_its_own(machine: Machine, user: str) -> str:
    """A file system for a person's images: those of the machine are an overlay, and one cannot lie on another."""
    place = f"/home/{user}/.local/share/containers"
    machine.ok(f"mkdir -p {place} .config/containers", user=user)
    machine.ok("printf '[storage]\\ndriver = \"overlay\"\\n' >.config/containers/storage.conf", user=user)
    who = f"uid=$(id -u {user}),gid=$(id -g {user})"
    machine.ok(f"mount -t tmpfs -o size=8g,mode=700,{who} images {place}")
    return place


def load_for(machine: Machine, user: str, archive: Path, name: str, *changes: str) -> None:
    """Put a file system into a person's own images."""
    shutil.copy(archive, machine.docker / "rootfs.tar")
    machine.ok("chmod 711 /var/lib/docker && chmod 644 /var/lib/docker/rootfs.tar")
    words = " ".join(f"--change '{change}'" for change in changes)
    machine.ok(f"podman import {words} /var/lib/docker/rootfs.tar {name}", user=user)
    (machine.docker / "rootfs.tar").unlink()


def toolbox_rootfs() -> Path:
    """A Debian as toolbox wants one, with a llama-server that says what it was told."""
    made = CACHE / "toolbox.tar"
    if not made.exists():
        capsh = out_of("libcap2-bin", "sbin/capsh").read_bytes()
        _pack(base(), made, {"usr/sbin/capsh": capsh, "usr/local/bin/llama-server": LLAMA_SERVER.encode()})
    return made


def python_rootfs() -> Path:
    """Debian with its Python under the names that python's own image has, and this machine's way to trust the network."""
    made = CACHE / f"python-{PYTHON_SUITE}.tar"
    if not made.exists():
        place = CACHE / f"python-{PYTHON_SUITE}"
        shutil.rmtree(place, ignore_errors=True)
        with_python = "--include=python3,python3-venv,ca-certificates"
        subprocess.run(
            ["debootstrap", "--variant=minbase", with_python, PYTHON_SUITE, str(place), mirror()],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        (place / "usr" / "local" / "bin" / "python").symlink_to("/usr/bin/python3")
        shutil.copy(CA_BUNDLE, place / CA_INSIDE.lstrip("/"))
        _pack(place, made, {})
        shutil.rmtree(place)
    return made


def python_env() -> list[str]:
    """As `podman import --change` takes it."""
    return [f"ENV {name}={value}" for name, value in ENV.items() if value == CA_INSIDE]


def _pack(place: Path, into: Path, more: dict[str, bytes]) -> None:
    part = into.with_suffix(".part")
    left_out = [f"--exclude=./{name}/*" for name in ("proc", "sys", "dev", "var/cache/apt")]
    subprocess.run(["tar", "-C", str(place), *left_out, "-cf", str(part), "."], check=True)
    with tarfile.open(part, "a") as tar:
        for name, data in more.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size, member.mode = len(data), 0o755
            tar.addfile(member, io.BytesIO(data))
    part.rename(into)
