"""The whole examination, in the order in which a person would mend things."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from brainrouter.adapters.own_daemon import NoAnswer, ask
from brainrouter.config import ConfigError, Loaded, Settings, load, user_file
from brainrouter.flows.doctor.daemon import examine_daemon, examine_environment, examine_protocols
from brainrouter.flows.doctor.finding import Case, Finding, fault, ok
from brainrouter.flows.doctor.harnesses import examine_harnesses
from brainrouter.flows.doctor.llama_swap import examine_llama_swap
from brainrouter.flows.doctor.manifest import examine_manifest
from brainrouter.flows.doctor.project import examine_project
from brainrouter.flows.find_target import find_target


async def examine(config: Path | None, env: Mapping[str, str], socket: Path, command: str) -> list[Finding]:
    """Look at everything. Never raises for what it looks at; changes nothing, but sends one request per protocol."""
    loaded, findings, file = _settings(config, env)
    target, trouble = await find_target(command, socket)
    health: Mapping[str, object] | None = None
    if trouble is None:
        try:
            health = (await ask(target.base_url, "/health")).json
        except NoAnswer as error:
            trouble = str(error)
    case = Case(loaded.settings, loaded.mentioned, file, env, socket, target, health, trouble)
    findings += await examine_daemon(case)
    findings += await examine_llama_swap(case)
    findings += await examine_manifest(case)
    findings += await examine_protocols(case)
    findings += examine_environment(case)
    findings += examine_project(env)
    return findings + examine_harnesses(case)


def _settings(config: Path | None, env: Mapping[str, str]) -> tuple[Loaded, list[Finding], Path]:
    file = config or user_file(env)
    try:
        loaded = load(config, env)
    except ConfigError as error:
        finding = fault("config", str(error), f"mend {file}; the message names the key")
        return Loaded(Settings(), (), frozenset()), [finding], file
    said = ", ".join(map(str, loaded.files)) or "none, all defaults"
    return loaded, [ok("config", f"configuration: {said}")], loaded.files[-1] if loaded.files else file
