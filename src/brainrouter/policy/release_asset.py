"""Which file of a llama-swap release fits this machine, and which checksum the publisher gives for it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_SUM = re.compile(r"([0-9a-f]{64})[ *]+(\S+)")


class NoAsset(Exception):
    """Why the release has nothing for this machine."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of a release and the list of checksums that covers it."""

    name: str
    url: str
    sums_url: str


def asset_for(release: dict[str, Any], system: str, machine: str) -> Asset:
    """The archive for a system and machine as platform.uname() names them. Raises NoAsset."""
    number = str(release.get("tag_name", "")).removeprefix("v")
    arch = _MACHINES.get(machine.lower())
    if not number.isdecimal() or arch is None:
        raise NoAsset(f"release {number or '?'} has nothing for {system} on {machine}")
    wanted = f"llama-swap_{number}_{system.lower()}_{arch}.tar.gz"
    files = {
        str(item.get("name")): str(item.get("browser_download_url"))
        for item in cast("list[dict[str, Any]]", release.get("assets") or [])
    }
    sums = next((url for name, url in files.items() if name.endswith("checksums.txt")), None)
    if wanted not in files:
        raise NoAsset(f"the release has no {wanted}")
    if sums is None:
        raise NoAsset("the release has no list of checksums, and nothing unchecked is installed")
    return Asset(wanted, files[wanted], sums)


def checksum_of(name: str, sums: str) -> str:
    """The sha256 that the publisher's list gives for a file. Raises NoAsset."""
    found = {
        match.group(2): match.group(1)
        for match in map(_SUM.fullmatch, map(str.strip, sums.splitlines()))
        if match
    }
    if name not in found:
        raise NoAsset(f"the publisher's list of checksums does not name {name}")
    return found[name]
