"""Manifest, asked directly: where it is, whether it was set up, and whether our key is one of its keys."""

from __future__ import annotations

from typing import Any, cast

from brainrouter.adapters.own_daemon import NoAnswer, ask
from brainrouter.config import PLACEHOLDER_KEY, key_from
from brainrouter.flows.discover import MANIFEST_URLS
from brainrouter.flows.doctor.elsewhere import PROBE_S, Backend, missing
from brainrouter.flows.doctor.finding import Case, Finding, fault, ok

MANIFEST = Backend(
    "manifest", "manifest", "cloud", MANIFEST_URLS, "/api/v1/health", "status",
    "docker compose up -d  (in Manifest's folder)", "`cloud` is answered by the local model",
)  # fmt: skip
PREFIX = "mnfst_"


async def examine_manifest(case: Case) -> list[Finding]:
    """Reached, set up, key: what is known of each."""
    url = str(case.part("cloud").get("url") or case.settings.manifest.base_url)
    root = url.removesuffix("/v1")
    try:
        setup = (await ask(root, "/api/v1/setup/status", timeout_s=PROBE_S)).json
    except NoAnswer as error:
        found = await missing(MANIFEST, url, str(error), case)
        return [found] if found.level == "note" else [found, *_key(case)]
    if isinstance(setup, dict) and cast("dict[str, Any]", setup).get("needsSetup"):
        what, mend = (
            f"Manifest at {root} is not set up yet",
            f"open {root} in a browser and finish its wizard",
        )
        return [fault("manifest.setup", what, mend), *_key(case)]
    return [ok("manifest", f"Manifest answers at {url}"), *(_key(case) or [await _accepted(case, url, root)])]


def _key(case: Case) -> list[Finding]:
    """What is wrong with the key as it stands here; nothing when it looks right."""
    named = case.settings.manifest.api_key_env
    value = (case.env.get(named) or "").strip()
    daemon_has = str(case.part("cloud").get("key", "")).startswith("from ")
    get = f"export {named}={PREFIX}...  (Manifest, Settings, API Keys: Create key), then restart the daemon"
    if value == PLACEHOLDER_KEY:
        return [fault("manifest.key", f"${named} still holds the installer's placeholder", get)]
    if not value and not daemon_has:
        return [
            fault("manifest.key", f"${named} is not set, and Manifest refuses requests without a key", get)
        ]
    if value and case.health is not None and not daemon_has:
        what = f"${named} is set here, but the running daemon was started without it"
        return [fault("manifest.key", what, "restart the daemon from this shell: brainrouter up")]
    if value and not value.startswith(PREFIX):
        return [fault("manifest.key", f"${named} holds no Manifest key: those begin with {PREFIX}", get)]
    return []


async def _accepted(case: Case, url: str, root: str) -> Finding:
    named = case.settings.manifest.api_key_env
    key = key_from(case.env, named)
    if key is None:
        return ok("manifest.key", f"the daemon has its key from ${named}")
    try:
        status = (await ask(url, "/models", key=key.reveal(), timeout_s=PROBE_S)).status
    except NoAnswer as error:
        return fault("manifest.key", f"the key could not be tried: {error}", f"curl -i {url}/models")
    if status in (401, 403):
        mend = (
            f"make a new key at {root} (Settings, API Keys), export {named}={PREFIX}..., restart the daemon"
        )
        return fault("manifest.key", f"Manifest refuses the key in ${named} ({status})", mend)
    return ok("manifest.key", f"Manifest takes the key in ${named}")
