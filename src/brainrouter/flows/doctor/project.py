"""The rules of the project that `doctor` was started in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from brainrouter.adapters.rule_files import RuleFiles
from brainrouter.brain.project_rules import FILE, Hold, ProjectRules, hold
from brainrouter.flows.doctor.finding import Finding, fault, ok


def examine_project(env: Mapping[str, str]) -> list[Finding]:
    """One finding for each `.brainrouter.yaml` of the current folder and of those above it."""
    home = Path(env.get("HOME") or "~").expanduser()
    return [_finding(rules) for rules in RuleFiles(home).read(str(Path.cwd()))]


def _finding(rules: ProjectRules) -> Finding:
    if rules.problem:
        what = f"{rules.place}: {rules.problem}; until it is mended nothing of the project goes to the cloud"
        return fault(
            "project", what, f"mend {FILE}; it takes never_cloud, route: local, and rules with paths"
        )
    held = hold([rules], b"")
    named = sum(bool(rule.files) for rule in rules.rules)
    words = f"{rules.place}: {_said(held)}"
    return ok("project", f"{words}, and {named} rules for files" if named else words)


def _said(held: Hold | None) -> str:
    if held is None:
        return "nothing is kept local as a whole"
    return "nothing of this project goes to the cloud" if held.never else "`auto` is local in this project"
