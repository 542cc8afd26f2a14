"""Each harness that is set up here: its files, its program, the program of the MCP server, what overrides its files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from brainrouter.adapters.listen import port_file
from brainrouter.flows.doctor.finding import Case, Finding, fault, note, ok
from brainrouter.flows.set_up import SetUp
from brainrouter.harness.catalogue import HARNESSES
from brainrouter.harness.target import Harness

OVERRIDES = {
    "claude": ("ANTHROPIC_BASE_URL", "ANTHROPIC_MODEL"),
    "opencode": ("OPENCODE_CONFIG", "OPENCODE_CONFIG_CONTENT"),
}


def examine_harnesses(case: Case) -> list[Finding]:
    """Findings on every harness that is installed or set up; one note when there is none."""
    findings = [finding for harness in HARNESSES.values() for finding in _one(case, harness)]
    return findings or [note("harness", "no harness is set up", "brainrouter install claude")]


def _one(case: Case, harness: Harness) -> list[Finding]:
    set_up = SetUp(harness, case.target, case.env, port_file(case.socket))
    state, words = set_up.state()
    check = f"harness.{harness.name}"
    program = shutil.which(harness.program, path=case.env.get("PATH"))
    install = f"brainrouter install {harness.name}"
    if state == "absent":
        return [note(check, f"{harness.title} is installed, but not set up", install)] if program else []
    if state == "broken":
        return [fault(check, f"{harness.title}: {words}", f"mend that file, then: {install}")]
    if state == "outdated":
        return [fault(check, f"{harness.title} is {words}", install)]
    findings: list[Finding] = []
    if program is None:
        findings.append(
            fault(
                f"{check}.program",
                f"{harness.title} is set up, but `{harness.program}` is not on the PATH",
                f"install {harness.title}, or: brainrouter uninstall {harness.name}",
            )
        )
    if not os.access(case.target.command, os.X_OK):
        findings.append(
            fault(f"{check}.mcp", f"the review server {case.target.command} cannot be run", install)
        )
    findings += [
        fault(
            f"{check}.override",
            f"${name} is set in this shell to {value!r} and goes before {harness.title}'s files",
            f"unset {name}",
        )
        for name in OVERRIDES.get(harness.name, ())
        if (value := case.env.get(name)) and not _expected(case, name, value)
    ]
    return findings or [ok(check, f"{harness.title} is set up ({Path(program or '').name})")]


def _expected(case: Case, name: str, value: str) -> bool:
    if name == "ANTHROPIC_BASE_URL":
        return value.rstrip("/") == case.target.base_url
    return name == "ANTHROPIC_MODEL" and value in ("auto", "local", "cloud")
