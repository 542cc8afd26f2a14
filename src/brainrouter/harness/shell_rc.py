"""Claude Code's variables for a shell's start file. The port is read when the shell starts, since it may change."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from brainrouter.harness.block_edit import Block
from brainrouter.harness.document import Document
from brainrouter.harness.target import Env

BEGIN = "# >>> brainrouter >>>"
END = "# <<< brainrouter <<<"
DEFAULT_PORT = 9099


@dataclass(frozen=True, slots=True)
class Shell:
    """A shell: its start file, and how it is told a variable."""

    name: str
    start_file: Callable[[Env], str]
    lines: Callable[[Mapping[str, str], str], list[str]]


def _posix(variables: Mapping[str, str], port_file: str) -> list[str]:
    read = f"$(cat {shlex.quote(port_file)} 2>/dev/null || echo {DEFAULT_PORT})"
    lines = [f'export ANTHROPIC_BASE_URL="http://127.0.0.1:{read}"']
    return lines + [
        f"export {name}={value}" for name, value in variables.items() if name != "ANTHROPIC_BASE_URL"
    ]


def _fish(variables: Mapping[str, str], port_file: str) -> list[str]:
    read = f"(cat {shlex.quote(port_file)} 2>/dev/null; or echo {DEFAULT_PORT})"
    lines = [f"set -gx ANTHROPIC_BASE_URL http://127.0.0.1:{read}"]
    return lines + [
        f"set -gx {name} {value}" for name, value in variables.items() if name != "ANTHROPIC_BASE_URL"
    ]


def _zsh_file(env: Env) -> str:
    folder = env.get("ZDOTDIR", "")
    return f"{folder if folder.startswith('/') else env['HOME']}/.zshrc"


def _fish_file(env: Env) -> str:
    base = env.get("XDG_CONFIG_HOME", "")
    return f"{base if base.startswith('/') else env['HOME'] + '/.config'}/fish/config.fish"


SHELLS = {
    shell.name: shell
    for shell in (
        Shell("bash", lambda env: f"{env['HOME']}/.bashrc", _posix),
        Shell("zsh", _zsh_file, _posix),
        Shell("fish", _fish_file, _fish),
    )
}


def rc_document(shell: Shell, env: Env, variables: Mapping[str, str], port_file: str) -> Document:
    """The shell's start file with our block."""
    body = "\n".join(shell.lines(variables, port_file))
    return Document(shell.start_file(env), "block", block=Block(BEGIN, END, body))
