"""Which versions run here, and whether newer ones exist. Asked in the background, only while somebody looks."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version as package_version
from typing import Any

from brainrouter import __version__
from brainrouter.adapters.release_source import ReleaseSource, SourceUnavailable
from brainrouter.adapters.service_probe import ServiceProbe
from brainrouter.policy.service_plan import (
    RESTARTABLE,
    UPGRADABLE,
    Found,
    Way,
    restart_way,
    upgrade_way,
)
from brainrouter.policy.version import (
    digests_of,
    hub_image,
    image_label,
    llama_build,
    oci_version,
    swap_is_newer,
    swap_version,
)

INSTALLED_FRESH_S = 600.0
LATEST_FRESH_S = 6 * 3600.0
AFTER_FAILURE_S = 900.0
EMBEDDED_PACKAGE = "xllamacpp"
SwapSays = Callable[[], Awaitable[str | None]]


@dataclass(slots=True)
class _Latest:
    """What a source said, and until when that is believed."""

    said: dict[str, Any] | None
    until: float


class Versions:
    """`view` never waits: it gives what is known and has the rest looked up by `run`."""

    def __init__(
        self,
        probe: ServiceProbe,
        source: ReleaseSource | None,
        swap_says: SwapSays,
        *,
        embedded: bool,
        changed: Callable[[], None],
    ) -> None:
        self._probe = probe
        self._source = source
        self._swap_says = swap_says
        self._embedded = embedded
        self._changed = changed
        self._latest: dict[str, _Latest] = {}
        self._wanted = asyncio.Event()
        self._looked = 0.0
        self._checking = False
        self._components: dict[str, dict[str, Any]] = {}
        self.founds: dict[str, Found] = {}
        self.restarts: dict[str, Way] = {}
        self.upgrades: dict[str, Way] = {}

    def view(self) -> dict[str, Any]:
        """The body of /api/versions."""
        if not self._looked or time.monotonic() - self._looked > INSTALLED_FRESH_S:
            self._wanted.set()
        return {
            "components": self._components,
            "restarts": {name: _shown(way) for name, way in self.restarts.items()},
            "upgrades": {name: _shown(way) for name, way in self.upgrades.items()},
            "checking": self._checking or not self._looked,
            "check_updates": self._source is not None,
        }

    def forget(self) -> None:
        """Something was changed: look again."""
        self._looked = 0.0
        self._wanted.set()

    async def run(self) -> None:
        """Look whenever that is wanted; cancel to end."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._checking = True
            await self.look()
            self._checking = False
            self._changed()

    async def look(self) -> None:
        """Look once. Never raises for what is not installed or not reachable."""
        await self.look_at_ways()
        self._looked = time.monotonic()
        self._changed()
        parts = {
            "llama-swap": await self._llama_swap(),
            "llama-cpp": await self._llama_cpp(),
            "manifest": await self._image("Manifest", "manifest", await self._manifest_image()),
            "toolbox": await self._image("toolbox", "toolbox", await self._probe.toolbox_image()),
            "brainrouter": _component("brainrouter", __version__),
        }
        self._components = parts

    async def look_at_ways(self) -> None:
        """Find out how each service is run, which says what the buttons do."""
        for service in RESTARTABLE:
            found = await self._probe.restart(service)
            self.founds[service] = found
            self.restarts[service] = restart_way(service, found)
        for component in UPGRADABLE:
            restart = "llama-cpp" if component == "toolbox" else component
            found = await self._probe.upgrade(component, self.founds[restart])
            self.founds[f"{component} itself"] = found
            self.upgrades[component] = upgrade_way(component, found, self.restarts[restart])

    async def release(self) -> dict[str, Any] | None:
        """The newest release of llama-swap, from the cache while that is fresh."""
        source = self._source
        return await self._ask("llama-swap", source.llama_swap) if source is not None else None

    async def _llama_swap(self) -> dict[str, Any]:
        installed = None if self._embedded else await self._swap_says()
        found = self.founds["llama-swap itself"]
        if installed is None and found.kind == "binary":
            installed = swap_version(await self._probe.llama_swap(found.path))
        release = await self.release()
        latest = str(release.get("tag_name") or "") or None if release else None
        return _component(
            "llama-swap",
            installed,
            latest,
            newer=swap_is_newer(latest, installed),
            upgrade="llama-swap",
            detail=found.image or found.path,
        )

    async def _llama_cpp(self) -> dict[str, Any]:
        if self._embedded:
            return _component(
                "llama.cpp", package_version(EMBEDDED_PACKAGE), detail=f"embedded: {EMBEDDED_PACKAGE}"
            )
        return _component("llama.cpp", llama_build(await self._probe.llama_server()))

    async def _manifest_image(self) -> dict[str, Any] | None:
        return await self._probe.image_of("manifest") if self.founds["manifest"].kind == "compose" else None

    async def _image(self, name: str, component: str, image: dict[str, Any] | None) -> dict[str, Any]:
        if image is None:
            return _component(name, None)
        own = str(image.get("Id") or "")
        label = image_label(str(image.get("Created") or ""), own)
        if component == "toolbox":
            label = oci_version(image) or label
        newest = await self._newest_image(str(image["asked"]))
        digest = str((newest or {}).get("digest") or "")
        held = digests_of(image)
        newer = bool(digest and held and digest not in held)
        latest = image_label(str((newest or {}).get("last_updated") or ""), digest) if digest else None
        return _component(name, label, latest, newer=newer, upgrade=component, detail=str(image["asked"]))

    async def _newest_image(self, asked: str) -> dict[str, Any] | None:
        source, hub = self._source, hub_image(asked)
        if source is None or hub is None:
            return None
        return await self._ask(asked, lambda: source.image(*hub))

    async def _ask(self, key: str, ask: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any] | None:
        held = self._latest.get(key)
        if held is not None and time.monotonic() < held.until:
            return held.said
        try:
            said, fresh_s = await ask(), LATEST_FRESH_S
        except SourceUnavailable:
            said, fresh_s = None, AFTER_FAILURE_S
        self._latest[key] = _Latest(said, time.monotonic() + fresh_s)
        return said


def _component(
    name: str,
    installed: str | None,
    latest: str | None = None,
    *,
    newer: bool = False,
    upgrade: str | None = None,
    detail: str = "",
) -> dict[str, Any]:
    shown = installed if installed is None else re.sub(r"[^\x20-\x7e·]", "?", installed)[:60]
    return {
        "name": name,
        "installed": shown,
        "latest": latest,
        "newer": newer,
        "upgrade": upgrade if newer else None,
        "detail": detail,
    }


def _shown(way: Way) -> dict[str, Any]:
    return {"allowed": way.allowed, "detail": way.detail, "command": way.command, "kind": way.kind}
