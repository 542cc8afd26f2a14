"""Versions as their makers write them: read, compared and shown. Pure."""

from __future__ import annotations

import re
from typing import Any, cast

_SWAP_LINE = re.compile(r"^version: (\S+) \(([^)]*)\), built at (.+)$", re.MULTILINE)
_SWAP_TAG = re.compile(r"v(\d+)(?:-|$)")
_LLAMA_LINE = re.compile(r"^version: (\d+) \(([0-9a-f]+)\)", re.MULTILINE)
_REFERENCE = re.compile(
    r"(?:docker\.io/)?(?P<name>[a-z0-9_.-]+/[a-z0-9_.-]+)(?::(?P<tag>[A-Za-z0-9_.-]{1,128}))?(?:@sha256:[0-9a-f]{64})?"
)


def swap_version(output: str) -> str | None:
    """The version in what `llama-swap --version` prints: `v250`, or `0 (abc1234)` of a build without a tag."""
    found = _SWAP_LINE.search(output)
    if found is None:
        return None
    version, commit = found.group(1), found.group(2)
    return f"0 ({commit})" if version == "0" else version


def swap_number(version: str | None) -> int | None:
    """The integer of a llama-swap tag, which is how its versions compare; None for one that has no tag."""
    found = _SWAP_TAG.match(version or "")
    return int(found.group(1)) if found else None


def swap_is_newer(latest: str | None, installed: str | None) -> bool:
    """Whether an upgrade would bring something; never for what cannot be compared."""
    new, old = swap_number(latest), swap_number(installed)
    return new is not None and old is not None and new > old


def llama_build(output: str) -> str | None:
    """The build in what `llama-server --version` prints, as `b6123`."""
    found = _LLAMA_LINE.search(output)
    return f"b{found.group(1)}" if found else None


def hub_image(reference: str) -> tuple[str, str] | None:
    """Repository and tag on Docker Hub of an image reference; None for an image of another registry."""
    found = _REFERENCE.fullmatch(reference)
    return (found.group("name"), found.group("tag") or "latest") if found else None


def image_label(created: str, digest: str) -> str:
    """An image as a person tells it apart: `2026-08-14 · 3f2a1bc`."""
    return f"{created[:10]} · {digest.removeprefix('sha256:')[:7]}"


def digests_of(image: dict[str, Any]) -> set[str]:
    """The registry digests of an inspected image."""
    listed = cast("list[Any]", image.get("RepoDigests") or [])
    found = {str(item).rpartition("@")[2] for item in listed} | {str(image.get("Digest") or "")}
    return {digest for digest in found if digest.startswith("sha256:")}


def oci_version(image: dict[str, Any]) -> str | None:
    """The version that an image's maker wrote on it, where docker or podman keep labels."""
    config = cast("dict[str, Any]", image.get("Config") or {})
    labels = cast("dict[str, Any]", image.get("Labels") or config.get("Labels") or {})
    version = labels.get("org.opencontainers.image.version")
    return str(version) if version else None
