"""What a harness is pointed at, and what a harness is to us."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from brainrouter.harness.document import Document

Env = Mapping[str, str]
MODELS = ("auto", "local", "cloud")
MCP_START_S = 30
MCP_CALL_S = 3600  # a review of a large change by a local model takes its time
OUTPUT_MAX = 32_000


@dataclass(frozen=True, slots=True)
class Target:
    """The daemon as a harness must see it. Windows are in tokens; None where nobody knows."""

    base_url: str
    command: str
    socket: str
    auto_window: int | None = None
    local_window: int | None = None
    cloud_window: int | None = None

    @property
    def v1(self) -> str:
        return f"{self.base_url}/v1"

    @property
    def mcp_args(self) -> list[str]:
        return ["mcp", "--socket", self.socket]

    def window(self, model: str) -> int | None:
        """The window of `auto`, `local` or `cloud`."""
        return {"auto": self.auto_window, "local": self.local_window, "cloud": self.cloud_window}[model]

    def output(self, model: str) -> int | None:
        """How much of a model's window an answer may take."""
        window = self.window(model)
        return None if window is None else min(OUTPUT_MAX, window // 4)


@dataclass(frozen=True, slots=True)
class Runs:
    """How `brainrouter run` points a harness here without writing to its files.

    By variables alone, or by a scratch folder that stands in for the harness's own: `variable` names it, and the
    harness looks for its files `below` it.
    """

    variables: Callable[[Target], dict[str, str]]
    variable: str | None = None
    below: str = ""


@dataclass(frozen=True, slots=True)
class Harness:
    """One harness: its files with our edits, where it reads instructions, how it is run."""

    name: str
    title: str
    program: str
    folder: Callable[[Env], str]
    documents: Callable[[Target, Env], list[Document]]
    instructions: str
    runs: Runs
    review_tool: str
    hint: str


def folder(env: Env, variable: str | None, *below_home: str) -> str:
    """A harness's folder: where its variable says, else below HOME."""
    named = env.get(variable, "") if variable else ""
    return named.rstrip("/") if named.startswith("/") else "/".join([env["HOME"].rstrip("/"), *below_home])


def nothing(_: Target) -> dict[str, str]:
    """No variables."""
    return {}


def known(**values: Any) -> dict[str, Any]:
    """The values that are known: those that are not None."""
    return {key: value for key, value in values.items() if value is not None}


def stdio_server(
    target: Target, *, timeout: int | None = None, typed: bool = True, **more: Any
) -> dict[str, Any]:
    """The MCP server as most harnesses write it; `timeout` in the unit of that harness."""
    kind: dict[str, Literal["stdio"]] = {"type": "stdio"} if typed else {}
    return {**kind, "command": target.command, "args": target.mcp_args, **known(timeout=timeout), **more}
