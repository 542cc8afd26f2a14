"""What a harness is to be pointed at: where the daemon listens, and how large its models' windows are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from brainrouter.adapters.own_daemon import NoAnswer, ask, port_of
from brainrouter.harness.target import Target

# What harnesses take for granted with cloud models; Manifest does not say what lies behind `auto`.
CLOUD_WINDOW = 200_000


async def find_target(command: str, socket: Path) -> tuple[Target, str | None]:
    """The target, and why the daemon could not be asked, if so; then windows are the usual ones of the cloud."""
    base = f"http://127.0.0.1:{port_of(socket)}"
    try:
        health = (await ask(base, "/health")).json
        models = (await ask(base, "/v1/models")).json
    except NoAnswer as error:
        return Target(base, command, str(socket), CLOUD_WINDOW, None, CLOUD_WINDOW), str(error)
    if not _is_ours(health) or not isinstance(models, dict):
        what = f"something else than brainrouter answers at {base}"
        return Target(base, command, str(socket), CLOUD_WINDOW, None, CLOUD_WINDOW), what
    auto, local, cloud = windows(health, cast("dict[str, Any]", models))
    return Target(base, command, str(socket), auto, local, cloud), None


def windows(
    health: Mapping[str, Any], models: Mapping[str, Any]
) -> tuple[int | None, int | None, int | None]:
    """The windows of auto, local and cloud, as the daemon's /health and /v1/models tell them.

    `auto` may use the cloud's: what the local model cannot hold goes to the cloud. Without a cloud all is local.
    """
    rows = {row.get("id"): row for row in models.get("data", [])}
    local = rows.get(health.get("local", {}).get("model"), {}).get("context_length")
    if health.get("cloud", {}).get("state") == "missing":
        return local, local, local
    return CLOUD_WINDOW, local, CLOUD_WINDOW


def _is_ours(health: object) -> bool:
    return isinstance(health, dict) and "version" in health and "classifier" in health
