"""The command line. Commands import what they need when they run, so that `--help` is instant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from brainrouter import __version__

DEFAULT_ADDRESS = "127.0.0.1:9099"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="brainrouter")
def main() -> None:
    """A speed-first proxy between AI coding harnesses and LLMs: easy work stays local, hard work goes to the cloud."""


def daemon_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that `up` and `serve` share."""
    for option in (
        click.option(
            "--log-level", metavar="LEVEL", help="error, warn, info or debug; BRAINROUTER_LOG wins over it."
        ),
        click.option(
            "--socket", type=click.Path(path_type=Path), help="Unix socket to listen on, beside TCP."
        ),
        click.option(
            "--tcp-addr", metavar="HOST:PORT", help=f"Where to listen.  [default: {DEFAULT_ADDRESS}]"
        ),
        click.option(
            "--config", type=click.Path(path_type=Path), help="Settings over the system's and your own."
        ),
    ):
        command = option(command)
    return command


@main.command()
@daemon_options
def up(config: Path | None, tcp_addr: str | None, socket: Path | None, log_level: str | None) -> None:
    """Start with what is here: a running llama-swap and Manifest, else an embedded small model."""
    from brainrouter.edge.cli.daemon import Options, start

    options = Options(config, tcp_addr or DEFAULT_ADDRESS, tcp_addr is None, socket, log_level)
    raise SystemExit(start(options, discover=True))


@main.command()
@daemon_options
def serve(config: Path | None, tcp_addr: str | None, socket: Path | None, log_level: str | None) -> None:
    """Run the daemon on the configured llama-swap and Manifest; for services and scripts."""
    from brainrouter.edge.cli.daemon import Options, start

    options = Options(config, tcp_addr or DEFAULT_ADDRESS, tcp_addr is None, socket, log_level)
    raise SystemExit(start(options, discover=False))


NAMES = ("omp", "claude", "vibe", "opencode", "codex", "droid", "pi")
harness_name = click.argument("harness", type=click.Choice(NAMES))
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
socket_option = click.option(
    "--socket",
    type=click.Path(path_type=Path),
    help="The daemon's Unix socket, when it is not the usual one.",
)


@main.command()
@harness_name
@yes_option
@click.option(
    "--shell-rc", is_flag=True, help="Claude Code: put its variables into your shell's start file instead."
)
@click.option("--workflow", is_flag=True, help="Also tell its agent to ask for a review before it is done.")
@socket_option
def install(harness: str, yes: bool, shell_rc: bool, workflow: bool, socket: Path | None) -> None:
    """Point a harness here: show what would change in its files, ask, write."""
    from brainrouter.edge.cli import harness as commands

    raise SystemExit(commands.install(harness, socket, yes=yes, shell_rc=shell_rc, workflow=workflow))


@main.command()
@harness_name
@yes_option
@socket_option
def uninstall(harness: str, yes: bool, socket: Path | None) -> None:
    """Give a harness its files back as they were."""
    from brainrouter.edge.cli import harness as commands

    raise SystemExit(commands.uninstall(harness, socket, yes=yes))


@main.command()
@socket_option
def status(socket: Path | None) -> None:
    """Say which harnesses are set up."""
    from brainrouter.edge.cli import harness as commands

    raise SystemExit(commands.status(socket))


@main.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@socket_option
@harness_name
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(harness: str, arguments: tuple[str, ...], socket: Path | None) -> None:
    """Run a harness against the daemon once; nothing is written to its files."""
    from brainrouter.edge.cli import harness as commands

    raise SystemExit(commands.run(harness, arguments, socket))


@main.command()
@socket_option
def mcp(socket: Path | None) -> None:
    """Serve the review tools to a harness over standard input and output (MCP)."""
    from brainrouter.edge.cli.mcp import serve as serve_mcp

    serve_mcp(socket)


@main.command("eval")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of outcome-labelled requests (<set>.<split>.jsonl) to score on too.",
)
@click.option("--split", default="dev", show_default=True, help="Which split of --data.")
def evaluate(data: Path | None, split: str) -> None:
    """Say how good the decision is, beside baselines: on the set that ships, on your own outcomes, on your data."""
    from brainrouter.edge.cli import quality

    raise SystemExit(quality.evaluate(data, split))


class Share(click.ParamType[float]):
    """A share given as `30%` or `0.3`."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"expected a share such as 30% or 0.3, found {value!r}", param, ctx)
        if not 0 <= share <= 1:
            self.fail(f"expected a share from 0% to 100%, found {value!r}", param, ctx)
        return share


@main.command()
@click.option("--cloud-share", type=Share(), help="Send about this share of what is weighed to the cloud.")
@click.option("--keep-quality", type=Share(), help="Keep this share of the all-cloud success.")
def calibrate(cloud_share: float | None, keep_quality: float | None) -> None:
    """Find where to set the knob, on your own recent requests; prints lines for brainrouter.yaml, changes nothing."""
    from brainrouter.edge.cli import quality

    if cloud_share is not None and keep_quality is not None:
        raise click.UsageError("give --cloud-share or --keep-quality, not both")
    raise SystemExit(quality.calibrate(cloud_share, keep_quality))


@main.command()
@click.option(
    "--policy",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with a `decision:` section, in the form of brainrouter.yaml.",
)
def replay(policy: Path) -> None:
    """Say what another policy would have changed on your own history."""
    from brainrouter.edge.cli import quality

    raise SystemExit(quality.replayed(policy))


@main.command()
@click.option("--config", type=click.Path(path_type=Path), help="Settings over the system's and your own.")
@socket_option
@click.option(
    "--json", "as_json", is_flag=True, help="For scripts; the exit code is 1 when something is wrong."
)
def doctor(config: Path | None, socket: Path | None, as_json: bool) -> None:
    """Look at everything that must work together, and say what mends what does not."""
    from brainrouter.edge.cli.doctor import doctor as examine

    raise SystemExit(examine(config, socket, as_json=as_json))
