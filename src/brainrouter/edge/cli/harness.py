"""`install`, `uninstall`, `status`, `run`: a harness pointed at the daemon, and taken back."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from brainrouter.adapters.config_file import Refused
from brainrouter.adapters.listen import default_socket, port_file
from brainrouter.adapters.stand_in import run_harness
from brainrouter.edge.cli.consent import agreed, home_relative, show_plan
from brainrouter.edge.cli.terminal import Terminal
from brainrouter.flows.find_target import find_target
from brainrouter.flows.set_up import Options, Plan, SetUp, every
from brainrouter.harness.catalogue import HARNESSES
from brainrouter.harness.edit import CannotEdit
from brainrouter.harness.shell_rc import SHELLS
from brainrouter.harness.target import Harness, Target

EXIT_REFUSED = 1
EXIT_NOT_AGREED = 3
_MARKS = {"ready": "[green]●[/]", "outdated": "[yellow]●[/]", "absent": "[dim]○[/]", "broken": "[red]●[/]"}


def own_command() -> str:
    """The program that a harness is to start: this one, by its absolute path."""
    program = Path(sys.argv[0])
    if program.name == "brainrouter" and program.exists():
        return str(program.absolute())
    return shutil.which("brainrouter") or str(Path(sys.executable).with_name("brainrouter"))


def socket_or_default(socket: Path | None) -> Path:
    """The daemon's socket, as an absolute path."""
    return (socket or default_socket(os.environ)).absolute()


def install(name: str, socket: Path | None, *, yes: bool, shell_rc: bool, workflow: bool) -> int:
    """Show, ask, write. The exit code: 0 done or nothing to do, 1 refused, 3 not agreed."""
    console, harness = Terminal(highlight=False, soft_wrap=True), HARNESSES[name]
    set_up, target, trouble = _set_up(harness, socket)
    shell = _shell(console) if shell_rc and name == "claude" else None
    if shell_rc and name != "claude":
        console.print(
            f"[yellow]--shell-rc is for Claude Code only[/]; {harness.title} is set up by its files."
        )
    if shell_rc and name == "claude" and shell is None:
        return EXIT_REFUSED
    console.print(f"[bold]{harness.title}[/] → {target.base_url}  {_windows(target)}")
    if trouble:
        console.print(
            f"[yellow]The daemon was not asked[/] ({escape(trouble)}): the windows are the usual ones."
        )
        console.print(f"  Start it (brainrouter up), then: brainrouter install {name}")
    if not shutil.which(harness.program):
        console.print(
            f"[yellow]`{harness.program}` is not on your PATH[/]; its files are written all the same."
        )
    try:
        plan = set_up.install(Options(shell, workflow))
        code = _carry_out(console, plan, yes=yes)
    except (Refused, CannotEdit) as error:
        return _refused(console, error)
    if code == 0 and plan.needed:
        console.print(
            f"[green]✓[/] {harness.title} is set up. The originals are in {home_relative(plan.backups)}"
        )
        if shell is not None:
            console.print("  It counts in new shells.")
        if not workflow:
            console.print(f"  To have it ask for a review of its work: brainrouter install {name} --workflow")
        console.print(f"  Try it: [bold]{escape(harness.hint)}[/]    Undo it: brainrouter uninstall {name}")
    return code


def uninstall(name: str, socket: Path | None, *, yes: bool) -> int:
    """Take everything of ours back. Exit codes as for `install`."""
    console, harness = Terminal(highlight=False, soft_wrap=True), HARNESSES[name]
    set_up, _, _ = _set_up(harness, socket)
    try:
        plan = set_up.uninstall()
        code = _carry_out(console, plan, yes=yes)
    except (Refused, CannotEdit) as error:
        return _refused(console, error)
    if code == 0 and plan.needed:
        console.print(f"[green]✓[/] {harness.title} is as it was without brainrouter.")
    return code


def status(socket: Path | None) -> int:
    """One line for each harness."""
    console = Terminal(highlight=False, soft_wrap=True)
    place = socket_or_default(socket)
    target, trouble = asyncio.run(find_target(own_command(), place))
    console.print(
        f"daemon  {target.base_url}  " + (f"[red]{escape(trouble)}[/]" if trouble else "[green]answers[/]")
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("", "harness", "program", "set-up", ""):
        table.add_column(column)
    for harness, state, words in every(list(HARNESSES.values()), target, os.environ, port_file(place)):
        program = shutil.which(harness.program)
        mend = f"brainrouter install {harness.name}" if state == "outdated" else ""
        found = home_relative(program) if program else "[dim]not found[/]"
        table.add_row(_MARKS[state], harness.title, found, escape(words), f"[bold]{mend}[/]")
    console.print(table)
    return 0


def run(name: str, arguments: tuple[str, ...], socket: Path | None) -> int:
    """Run a harness against the daemon without writing to its files; its exit code is ours."""
    harness = HARNESSES[name]
    program = shutil.which(harness.program)
    if program is None:
        click.echo(
            f"brainrouter: `{harness.program}` is not on your PATH; install {harness.title} first.", err=True
        )
        return 127
    _, target, trouble = _set_up(harness, socket)
    if trouble:
        click.echo(
            f"brainrouter: the daemon does not answer ({trouble}); start it with: brainrouter up", err=True
        )
        return EXIT_REFUSED
    try:
        return run_harness(harness, target, os.environ, program, arguments)
    except (Refused, CannotEdit) as error:
        click.echo(f"brainrouter: {error}", err=True)
        return EXIT_REFUSED


def _set_up(harness: Harness, socket: Path | None) -> tuple[SetUp, Target, str | None]:
    place = socket_or_default(socket)
    target, trouble = asyncio.run(find_target(own_command(), place))
    return SetUp(harness, target, os.environ, port_file(place)), target, trouble


def _carry_out(console: Console, plan: Plan, *, yes: bool) -> int:
    if not plan.needed:
        console.print("[green]✓[/] Nothing to change.")
        return 0
    show_plan(console, plan)
    console.print()
    if not agreed(console, yes=yes):
        return EXIT_NOT_AGREED
    plan.carry_out()
    return 0


def _refused(console: Console, error: Exception) -> int:
    console.print(f"[red]Nothing was written.[/] {escape(str(error))}")
    return EXIT_REFUSED


def _shell(console: Console) -> str | None:
    """The user's real shell, if it is one we know."""
    name = Path(os.environ.get("SHELL") or "").name
    if name in SHELLS:
        return name
    console.print(
        f"[red]Nothing was written.[/] Your shell ($SHELL: {name or 'not set'}) is not one of bash, zsh, fish."
    )
    return None


def _windows(target: Target) -> str:
    def say(window: int | None) -> str:
        return f"{window // 1000}k" if window else "unknown"

    return f"[dim]windows: auto {say(target.auto_window)}, local {say(target.local_window)}[/]"
