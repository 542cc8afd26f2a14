"""`doctor`: what is wrong here, and what mends it."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict
from pathlib import Path

import click
from rich.markup import escape

from brainrouter.edge.cli.harness import own_command, socket_or_default
from brainrouter.edge.cli.terminal import Terminal
from brainrouter.flows.doctor.examination import examine
from brainrouter.flows.doctor.finding import Finding

EXIT_FAULTS = 1
_MARKS = {"ok": "[green]✓[/]", "note": "[yellow]○[/]", "fault": "[red]✗[/]"}


def doctor(config: Path | None, socket: Path | None, *, as_json: bool) -> int:
    """Examine and tell. The exit code: 0 without a fault, else 1."""
    place = socket_or_default(socket)
    findings = asyncio.run(examine(config, os.environ, place, own_command()))
    faults = [finding for finding in findings if finding.level == "fault"]
    if as_json:
        click.echo(
            json.dumps({"ok": not faults, "findings": [asdict(finding) for finding in findings]}, indent=2)
        )
    else:
        _show(findings, len(faults))
    return EXIT_FAULTS if faults else 0


def _show(findings: list[Finding], faults: int) -> None:
    console = Terminal(highlight=False, soft_wrap=True)
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        console.print(f"{_MARKS[finding.level]} [dim]{finding.check:<{width}}[/]  {escape(finding.what)}")
        if finding.mend:
            console.print(f"  {'':<{width}}  [bold]→ {escape(finding.mend)}[/]")
    console.print()
    if faults:
        console.print(f"[red]{faults} {'thing is' if faults == 1 else 'things are'} wrong.[/]")
    else:
        console.print("[green]All is well.[/]")
