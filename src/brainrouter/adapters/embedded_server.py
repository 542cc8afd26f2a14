"""The embedded local model: llama.cpp's own HTTP server on a loopback port, in this process.

Started by the daemon or, without `--parent`, by llama-swap:
`python -m brainrouter.adapters.embedded_server --port N --model FILE --alias NAME --context N --parent PID`.
With `--llama-swap BINARY --config FILE` it becomes llama-swap instead, bound to the daemon's life.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from brainrouter.adapters.child_process import OUR_WORDS, die_with_parent, free_port

KEY_VARIABLE = "BRAINROUTER_EMBEDDED_KEY"  # in the environment, since arguments are for all users to read
SLOTS = 2
WARNINGS_ONLY = 1
PROMPT_CACHE_MIB = 256  # llama.cpp's own default is 8 GiB


def server_command(model: Path, alias: str, context: int) -> list[str]:
    """The command that serves `model`; the port (and the parent, if it is the daemon) are still to be added."""
    # -P: nothing is imported from the folder that the daemon was started in.
    program = [sys.executable, "-P", "-m", "brainrouter.adapters.embedded_server"]
    return [*program, "--model", str(model), "--alias", alias, "--context", str(context)]


def swap_settings(command: list[str], alias: str, context: int, load_timeout_s: float) -> str:
    """A llama-swap configuration (JSON, which is YAML) that serves `command` as model `alias`, loaded at once."""
    settings = {
        "apiKeys": [f"${{env.{KEY_VARIABLE}}}"],
        "captureBuffer": 0,  # it would keep prompts in memory for its own page
        "healthCheckTimeout": int(load_timeout_s),
        "hooks": {"on_startup": {"preload": [alias]}},
        "logToStdout": "both",
        "performance": {"disabled": True},
        "startPort": free_port(),
        "models": {
            alias: {
                "capabilities": {"context": context},
                "checkEndpoint": "/health",
                "cmd": f"{shlex.join(command)} --port ${{PORT}}",
                "proxy": "http://127.0.0.1:${PORT}",
                "ttl": 0,
            }
        },
    }
    return json.dumps(settings)


def threads() -> int:
    """Cores to compute with: all of them, less one for the router where there are more than two."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return count if count <= 2 else count - 1


def serve(arguments: argparse.Namespace) -> None:
    """Load the model and serve it until the process is ended. Raises RuntimeError when it cannot be loaded."""
    library: Any = import_module("xllamacpp")  # 100 MB of native code: in this process only
    wanted = library.CommonParams()
    wanted.model.path = arguments.model
    wanted.model_alias = {arguments.alias}
    wanted.hostnames = ["127.0.0.1"]
    wanted.port = arguments.port
    wanted.api_keys = [os.environ[KEY_VARIABLE]]
    wanted.n_parallel = SLOTS
    wanted.n_ctx = arguments.context * SLOTS  # shared out, so that each request has the whole window
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = threads()
    wanted.use_jinja = True
    wanted.ui = wanted.endpoint_slots = False
    wanted.cache_ram_mib = PROMPT_CACHE_MIB
    wanted.verbosity = WARNINGS_ONLY
    server = library.Server(wanted)
    while server:
        signal.pause()


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="embedded_server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", default="")
    parser.add_argument("--alias", default="")
    parser.add_argument("--context", type=int, default=8192)
    parser.add_argument("--parent", type=int, default=0)
    parser.add_argument("--llama-swap", default="")
    parser.add_argument("--config", default="")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Runs until ended by a signal, by the parent's death or by a model that does not load."""
    arguments = _arguments(argv)
    if arguments.parent:
        die_with_parent(arguments.parent)
    else:
        die_with_parent(os.getppid(), None)
    if arguments.llama_swap:
        listen = f"127.0.0.1:{arguments.port}"
        # The kernel's signal outlives the exec.
        os.execv(arguments.llama_swap, ["llama-swap", "-config", arguments.config, "-listen", listen])  # noqa: S606
    try:
        serve(arguments)
    except (RuntimeError, ImportError) as trouble:
        mend = "; install it (Debian: apt install libgomp1)" if "libgomp" in str(trouble) else ""
        sys.stderr.write(f"\n{OUR_WORDS}{trouble}{mend}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
