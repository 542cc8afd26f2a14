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
