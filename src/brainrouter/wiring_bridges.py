"""Builds the chat bridges from the settings. A part of wiring, which alone knows it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import asdict

from brainrouter.bridge.supervise import Bridges, BridgeSetup, DiscordSetup, SignalSetup
from brainrouter.config import BridgeSettings, ConfigError, Loaded, load_aliases
from brainrouter.flows.bridge_status import BridgeBoard

_log = logging.getLogger("brainrouter.bridge")


def build_bridges(loaded: Loaded, env: Mapping[str, str], board: BridgeBoard) -> Bridges:
    """Both bridges, off or on. What is wrong with them shows on `board` and stops nothing else."""
    section = loaded.settings.bridge
    setup = BridgeSetup(
        omp_path=section.omp_path,
        work_dir=section.work_dir,
        timeout_secs=section.timeout_secs,
        default_model=section.default_model,
        tools=section.tools,
        aliases=_aliases(section, env),
    )
    refused = _token_in_the_open(section.discord.token, loaded.files) if section.discord.enabled else None
    discord = DiscordSetup(**asdict(section.discord), refused=refused)
    bridges = Bridges(setup, discord, SignalSetup(**asdict(section.signal)), env)
    board.reports.update(bridges.reports())
    return bridges


def _aliases(section: BridgeSettings, env: Mapping[str, str]) -> dict[str, str]:
    if not (section.discord.enabled or section.signal.enabled):
        return {}
    try:
        return load_aliases(section, env)
    except ConfigError as error:
        _log.warning("bridge: %s; the chats do without aliases", error)
        return {}


def _token_in_the_open(token: str | None, files: Sequence[Path]) -> str | None:
    """Why the token must not be used: others on this machine could have read it."""
    for file in files:
        try:
            mode = file.stat().st_mode & 0o077
            if token and mode & 0o044 and token in file.read_text(encoding="utf-8"):
                return f"{file} holds the Discord token and others may read it: chmod 600 {file}"
        except (OSError, UnicodeDecodeError):
            continue
    return None
