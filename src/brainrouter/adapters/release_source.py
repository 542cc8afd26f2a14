"""Asks GitHub and Docker Hub what is newest, and fetches from a release. Beside the loop, with limits."""

from __future__ import annotations

import asyncio
import hashlib
import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, cast

WAIT_S = 10.0
JSON_MAX = 4 << 20
FILE_MAX = 200 << 20
_AGENT = {"User-Agent": "brainrouter", "Accept": "application/json"}


class SourceUnavailable(Exception):
    """Why nothing could be had from there."""


class ReleaseSource:
    """The release page of llama-swap and the tags of images. All addresses come from the settings or from there."""

    def __init__(self, release_api: str, image_api: str) -> None:
        self._release_api = release_api.rstrip("/")
        self._image_api = image_api.rstrip("/")

    async def llama_swap(self) -> dict[str, Any]:
        """The newest release: `tag_name` and `assets`. Raises SourceUnavailable."""
        return await self._json(f"{self._release_api}/repos/mostlygeek/llama-swap/releases/latest")

    async def image(self, name: str, tag: str) -> dict[str, Any]:
        """A tag of an image on Docker Hub: `digest` and `last_updated`. Raises SourceUnavailable."""
        return await self._json(f"{self._image_api}/v2/repositories/{name}/tags/{tag}")

    async def text(self, url: str) -> str:
        """A small text of a release. Raises SourceUnavailable."""
        return (await asyncio.to_thread(self._read, url)).decode("utf-8", "replace")

    async def fetch(self, url: str, to: Path) -> str:
        """Download a file of a release; gives its sha256. Raises SourceUnavailable."""
        return await asyncio.to_thread(self._fetch, url, to)

    async def _json(self, url: str) -> dict[str, Any]:
        try:
            said = json.loads(await asyncio.to_thread(self._read, url))
        except ValueError as error:
            raise SourceUnavailable(f"{_host(url)} did not answer with JSON") from error
        if not isinstance(said, dict):
            raise SourceUnavailable(f"{_host(url)} did not answer with an object")
        return cast("dict[str, Any]", said)

    def _read(self, url: str) -> bytes:
        with self._open(url) as reply:
            data = reply.read(JSON_MAX + 1)
        if len(data) > JSON_MAX:
            raise SourceUnavailable(f"{_host(url)} answered with more than {JSON_MAX} bytes")
        return data

    def _fetch(self, url: str, to: Path) -> str:
        digest, size = hashlib.sha256(), 0
        with self._open(url) as reply, to.open("xb") as file:
            while piece := reply.read(1 << 20):
                size += len(piece)
                if size > FILE_MAX:
                    raise SourceUnavailable(f"the file is larger than {FILE_MAX >> 20} MB")
                digest.update(piece)
                file.write(piece)
        return digest.hexdigest()

    def _open(self, url: str) -> Any:
        parts, own = urllib.parse.urlsplit(url), urllib.parse.urlsplit(self._release_api)
        if parts.scheme != "https" and (parts.scheme, parts.netloc) not in (
            own[:2],
            urllib.parse.urlsplit(self._image_api)[:2],
        ):
            raise SourceUnavailable(f"{parts.scheme}://{parts.netloc} is not fetched from: https only")
        try:
            return urllib.request.urlopen(urllib.request.Request(url, headers=_AGENT), timeout=WAIT_S)  # noqa: S310
        except (OSError, ValueError, urllib.error.URLError) as error:
            raise SourceUnavailable(f"{parts.netloc}: {error}") from error


def _host(url: str) -> str:
    return urllib.parse.urlsplit(url).netloc
